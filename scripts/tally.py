"""Add up what several pytest runs printed, and close with one line in pytest's own form.

    scripts/tally.py LOG [ERRORS [SECONDS]]

LOG holds the runs' output, ERRORS is how many steps failed that were not pytest's, SECONDS how long all of it took.
Where all that failed in a run passed by itself (scripts/again.py), it is counted as rerun, and named before the sum.
The exit status is 0 only if something passed, and nothing failed.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import timedelta

CLOSING = re.compile(r"^=+ (.*) in ([\d.]+)s(?: \([\d:]+\))? =+$", re.MULTILINE)
AGAIN = re.compile(r"^again: (\d+) in all$", re.MULTILINE)
PASSED_ALONE = re.compile(r"^again: (\S.*) passed by itself", re.MULTILINE)
COUNT = re.compile(r"(\d+) (failed|passed|skipped|deselected|xfailed|xpassed|error|warning)s?\b")
WIDTH = 80


def add_up(text: str) -> Counter[str]:
    """Return the sums of all closing lines in `text`: {'passed': 120, 'failed': 1, …}."""
    total: Counter[str] = Counter()
    last: Counter[str] = Counter()
    for line in text.splitlines():
        if closing := CLOSING.match(line):
            last = Counter({kind: int(number) for number, kind in COUNT.findall(closing[1])})
            total += last
        elif again := AGAIN.match(line):
            total -= Counter(failed=last["failed"], error=last["error"])
            total["rerun"] += int(again[1])
    return total


def closing_line(total: Counter[str], seconds: float) -> str:
    """Return the line that pytest would end with."""
    order = ["failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warning", "error", "rerun"]
    parts = [
        f"{total[kind]} {kind}{'s' if kind in ('warning', 'error') and total[kind] != 1 else ''}"
        for kind in order
        if total[kind]
    ]
    clock = f" ({timedelta(seconds=int(seconds))})" if seconds >= 60 else ""
    return f" {', '.join(parts) or 'no tests ran'} in {seconds:.2f}s{clock} ".center(WIDTH, "=")


def main(arguments: list[str]) -> int:
    log, errors, seconds = (*arguments, "0", "0")[:3]
    with open(log, encoding="utf-8", errors="replace") as file:
        text = re.sub(r"\x1b\[[\d;]*m", "", file.read())
    total = add_up(text)
    total["error"] += int(errors)
    for test in PASSED_ALONE.findall(text):
        print(f"failed beside others, and passed by itself: {test}")
    print(closing_line(total, float(seconds)))
    return 0 if total["passed"] and not total["failed"] and not total["error"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
