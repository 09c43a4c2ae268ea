"""Check that the relative links of the Markdown files beside README.md lead to something. (Sphinx checks docs/.)"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def broken_links(page: Path) -> list[str]:
    """Return the targets that do not exist; links that name a host are not followed."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return [target for target in targets if "://" not in target and not (page.parent / target).exists()]


def main() -> int:
    complaints = [
        f"{page.name}: {target} does not exist" for page in ROOT.glob("*.md") for target in broken_links(page)
    ]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
