"""Programs in processes of their own, to be looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server(folder: Path, source: str, *run: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that says "ready", until the block ends; `run` comes between Python and its name."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(source))
    process = subprocess.Popen(
        [sys.executable, *run, str(program)],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        process.communicate()
