"""The programs' own tool: what a program leaves behind does not hang the suite."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest


def test_what_is_out_of_reach_and_keeps_the_output_open_is_told_of(start, monkeypatch):
    source = """
        import subprocess
        print("started", subprocess.Popen(["sleep", "25"], start_new_session=True).pid, flush=True)
    """
    running = start(sys.executable, "-c", "\n".join(line.strip() for line in source.splitlines()))
    sleeper = int(running.expect(r"started (\d+)\n")[1])
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[type(running).__module__], "END_SECONDS", 0.1)
        with pytest.raises(AssertionError, match="does not end"):
            running.close()
    assert time.monotonic() - began < 20
    os.kill(sleeper, signal.SIGKILL)
