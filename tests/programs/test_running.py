"""The programs' own tool: what a program leaves behind does not hang the suite."""

from __future__ import annotations

import sys
import time

import pytest


def test_what_is_out_of_reach_and_keeps_the_output_open_is_told_of(start, monkeypatch):
    source = """
        import subprocess
        subprocess.Popen(["sleep", "3"], start_new_session=True)
        print("started", flush=True)
    """
    running = start(sys.executable, "-c", "\n".join(line.strip() for line in source.splitlines()))
    running.expect("started")
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[type(running).__module__], "END_SECONDS", 0.1)
        with pytest.raises(AssertionError, match="does not end"):
            running.close()
    assert time.monotonic() - began < 3
