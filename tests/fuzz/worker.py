"""A process that plays programs: a JSON program a line comes in, a JSON object of logs goes out, one for each mode.

python -m tests.fuzz.worker stock loop package
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from .play import play
from .programs import Body
from .worlds import cede_loop, stock_loop


def modes() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """For each mode, what gives the library and what gives the loop."""

    def cede() -> Any:
        import cede

        return cede

    return {"stock": (lambda: asyncio, stock_loop), "loop": (lambda: asyncio, cede_loop), "package": (cede, cede_loop)}


def play_in(mode: str, program: Body) -> list[str]:
    library, loop = modes()[mode]
    try:
        return play(program, library(), loop())
    except Exception:
        return ["the player failed", traceback.format_exc()]


def main(wanted: list[str]) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None
    for line in sys.stdin:
        program, *rest = json.loads(line)
        logs = {mode: play_in(mode, program) for mode in (rest[0] if rest else wanted) if mode in wanted}
        sys.stdout.write(json.dumps(logs) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
