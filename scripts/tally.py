"""Add up what several pytest runs printed, and close with one line in pytest's own form.

    scripts/tally.py LOG [ERRORS [SECONDS]]

LOG holds the runs' output, ERRORS is how many steps failed that were not pytest's, SECONDS how long all of it took.
The exit status is 0 only if something passed, and nothing failed.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import timedelta

CLOSING = re.compile(r"^=+ (.*) in ([\d.]+)s(?: \([\d:]+\))? =+$", re.MULTILINE)
COUNT = re.compile(r"(\d+) (failed|passed|skipped|deselected|xfailed|xpassed|error|warning)s?\b")
WIDTH = 80


def add_up(text: str) -> Counter[str]:
    """Return the sums of all closing lines in `text`: {'passed': 120, 'failed': 1, …}."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    total: Counter[str] = Counter()
    for closing in CLOSING.finditer(text):
        for number, kind in COUNT.findall(closing[1]):
            total[kind] += int(number)
    return total


def closing_line(total: Counter[str], seconds: float) -> str:
    """Return the line that pytest would end with."""
    order = ["failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warning", "error"]
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
        total = add_up(file.read())
    total["error"] += int(errors)
    print(closing_line(total, float(seconds)))
    return 0 if total["passed"] and not total["failed"] and not total["error"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
