"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import catalogue, machine, profiling, report, results, rounds, run
from .peers import BY_NAME, PEERS, Peer

QUICK_SCALE = 0.1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure cede beside its peers.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="globs of rows, of their files or of sections (default: all)")
    add("--peers", help="comma-separated names (default: all that are installed)")
    add("--rounds", type=int, help="runs of each peer on each row (default: 5; quick: 1)")
    add("--quick", action="store_true", help="do a tenth of the work, once: to see that all runs")
    add("--scale", type=float, default=1.0, help="how much of the work of a full run to do (default: 1.0)")
    add("--write", action="store_true", help="put the results of some rows into docs/ (a full run does so anyway)")
    add("--no-write", action="store_true", help="leave docs/ alone")
    add("--page", action="store_true", help="only make docs/performance.md anew from the results in docs/performance/")
    add("--list", action="store_true", help="name the rows and the peers, and end")
    add("--python", metavar="PATH", help="the interpreter to measure with (default: this one)")
    add("--install", action="store_true", help="install the peers into this interpreter's environment, and end")
    add("--profile", metavar="ROW", help="run one row once under a profiler, on the first of --peers")
    add("--tool", choices=sorted(profiling.TOOLS), default="perf", help="the profiler (default: perf)")
    return parser.parse_args()


def install() -> None:
    """Install each requirement on its own, wheels only, and say which there is none for."""
    requirements = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    for line in requirements:
        if line and not line.startswith("#"):
            words = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", line]
            done = subprocess.run(words, capture_output=True, text=True)
            print(f"{line}: {'installed' if done.returncode == 0 else 'no wheel for this Python'}")


def chosen_peers(names: str | None) -> list[Peer]:
    """Return the peers to measure, telling on the terminal which are missing."""
    if names is None:
        missing = {peer.module for peer in PEERS if not peer.installed()}
        if missing:
            print(f"not installed, so not measured: {', '.join(sorted(missing))}")
        return [peer for peer in PEERS if peer.installed()]
    unknown = set(names.split(",")) - set(BY_NAME)
    if unknown:
        sys.exit(f"no peer of that name: {', '.join(sorted(unknown))} (--list names them)")
    return [BY_NAME[name] for name in names.split(",")]


def listing() -> None:
    for row in catalogue.all_rows():
        print(f"{row.name:28} {row.title}")
    print("\npeers:", ", ".join(peer.name for peer in PEERS))


def progress(row: str, peer: Peer, outcome: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {row:26} {peer.name:18} {outcome}", file=sys.stderr, flush=True)


def settings_for(options: argparse.Namespace) -> run.Settings:
    measured, other = run.cores()
    if measured == other:
        print("only one core: server and client share it")
    os.sched_setaffinity(0, {other})  # nothing of the harness runs where it measures
    return run.Settings(QUICK_SCALE if options.quick else options.scale, measured, other)


def measure_all(options: argparse.Namespace) -> None:
    rows, peers, settings = catalogue.select(options.rows), chosen_peers(options.peers), settings_for(options)
    if not rows:
        sys.exit("no such row (--list names them)")
    full = not (options.rows or options.peers or options.quick)
    writes = (full or options.write) and not options.no_write
    environment = machine.describe()
    try:
        writer = results.Writer(environment, afresh=full) if writes else None
    except results.Different as reason:
        sys.exit(str(reason))
    print("\n".join(f"{name}: {value}" for name, value in environment.items() if value))
    print(f"load average: {machine.load_average():.2f}\n", flush=True)
    for row in rows:
        result = rounds.measure(row, peers, settings, options.rounds or (1 if options.quick else 5), progress)
        print(report.on_terminal(result), flush=True)
        if writer:
            writer.add(result)
            report.write_page()


def main() -> None:
    options = arguments()
    if options.python:
        words = [word for word in sys.argv[1:] if word not in ("--python", options.python)]
        words = [word for word in words if not word.startswith("--python=")]
        os.execv(options.python, [options.python, "-m", "benchmarks", *words])
    if shutil.which("taskset") is None:
        sys.exit("taskset (util-linux) is needed to pin the measured processes")
    if options.install:
        install()
    elif options.list:
        listing()
    elif options.page:
        report.write_page()
    elif options.profile:
        peer = chosen_peers(options.peers or "package")[0]
        profiling.profile(options.profile, options.tool, peer, settings_for(options))
    else:
        measure_all(options)


if __name__ == "__main__":
    main()
