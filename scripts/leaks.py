#!/usr/bin/env python3
"""Print what the leak sanitizer found that cede allocated, and exit with 1 if there is any.

    scripts/leaks.py LOG...

The interpreter leaves a thousand things of its own behind when it ends. cede's are those whose memory a compiled module
of cede asked for, within a few calls; but for what a module makes once, when it is imported.
"""

import sys
from pathlib import Path

NEAR = 8  # frames from the allocation, within which cede stands if it is cede's


def is_ours(report: str) -> bool:
    frames = [line for line in report.splitlines() if line.lstrip().startswith("#")]
    return any("/cede/" in frame for frame in frames[:NEAR]) and "__pyx_pymod_exec" not in report


def main() -> int:
    logs = [Path(name).read_text(encoding="utf-8", errors="replace") for name in sys.argv[1:]]
    reports = [report for log in logs for report in log.split("\n\n") if "leak of" in report]
    ours = [report for report in reports if is_ours(report)]
    for report in ours:
        print(report, end="\n\n")
    print(f"leaks: {len(ours)} of cede's, {len(reports) - len(ours)} of the interpreter's")
    return 1 if ours or not logs else 0


if __name__ == "__main__":
    sys.exit(main())
