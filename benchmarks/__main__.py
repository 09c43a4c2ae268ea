"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import catalogue, counting, machine, profiling, recording, report, results, rounds, run
from .peers import BY_NAME, PEERS, Peer

QUICK_SCALE = 0.1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure cede beside its peers.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="globs of rows, of their files or of sections (default: all)")
    add("--peers", help="comma-separated names (default: all that are installed)")
    add(
        "--observe",
        metavar="HOW",
        help="off, record, or both with a comma: cede as it is, while it is recorded, or both",
    )
    add("--budget", action="store_true", help="count what recording takes of some rows, and hold it against its budget")
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
    add("--count", action="store_true", help="count instructions of the rows, on the first of --peers, by callgrind")
    add("--without", action="append", default=[], metavar="TRICK", help="with --count: and without a trick of cede's")
    add("--against", metavar="PATH", help="with --count: and with the cede of this folder")
    return parser.parse_args()


def install() -> None:
    """Install each requirement on its own, wheels only, and say which there is none for."""
    requirements = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    for line in requirements:
        if line and not line.startswith("#"):
            words = [sys.executable, "-m", "pip", "install", "--only-binary", ":all:", line]
            done = subprocess.run(words, capture_output=True, text=True)
            wanted = "Ignoring " not in done.stdout
            print(
                f"{line}: {'no wheel for this Python' if done.returncode else 'installed' if wanted else 'not wanted'}"
            )


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


def observed(peers: list[Peer], how: str) -> list[Peer]:
    """Return the peers that are cede, each as it is, recorded, or both side by side."""
    ways = how.split(",")
    if not ways or set(ways) - {"off", "record"}:
        sys.exit(f"--observe takes off, record, or off,record, not {how!r}")
    names = [
        f"{peer.name}-recorded" if way == "record" else peer.name
        for peer in peers
        if peer.kind == "cede"
        for way in ways
    ]
    return [BY_NAME[name] for name in names]


def listing() -> None:
    for row in catalogue.all_rows():
        print(f"{row.name:28} {row.title}")
    print("\npeers:", ", ".join(peer.name for peer in PEERS))


def progress(row: str, peer: Peer, outcome: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {row:26} {peer.name:18} {outcome}", file=sys.stderr, flush=True)


def settings_for(options: argparse.Namespace) -> run.Settings:
    measured, other = run.cores()
    os.sched_setaffinity(0, {other})  # nothing of the harness runs where it measures
    return run.Settings(QUICK_SCALE if options.quick else options.scale, measured, other)


def measure_all(options: argparse.Namespace) -> None:
    rows, peers, settings = catalogue.select(options.rows), chosen_peers(options.peers), settings_for(options)
    if options.observe:
        peers = observed(peers, options.observe)
    if not rows:
        sys.exit("no such row (--list names them)")
    full = not (options.rows or options.peers or options.quick or options.observe)
    writes = (full or options.write) and not options.no_write
    environment = machine.describe() | {"cores used": str(len({settings.measured_core, settings.other_core}))}
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


def count(options: argparse.Namespace) -> None:
    variants: dict[str, dict[str, str]] = {"instructions": {}}
    if options.against:
        path = os.pathsep.join([str(counting.REPOSITORY), os.path.abspath(options.against)])
        variants = {"before": {"PYTHONPATH": path}, "now": {}}
    if "record" in (options.observe or "").split(","):
        variants["recording"] = {"CEDE_RECORD": "1MiB"}
    variants |= {f"without {trick}": {"CEDE_WITHOUT": trick} for trick in options.without}
    peer = chosen_peers(options.peers or "package")[0]
    counting.compare(catalogue.select(options.rows), peer, variants)


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
    elif options.budget:
        counts = recording.count(options.rows or list(recording.BUDGET))
        print("\n".join(recording.table(counts)))
        if options.write:
            results.write_recording({one.row: (one.off, one.recording) for one in counts})
            report.write_page()
        if not all(one.kept for one in counts):
            sys.exit("recording takes more than its budget")
    elif options.profile:
        peer = chosen_peers(options.peers or "package")[0]
        profiling.profile(options.profile, options.tool, peer, settings_for(options))
    elif options.count:
        count(options)
    else:
        measure_all(options)


if __name__ == "__main__":
    main()
