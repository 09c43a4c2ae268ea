"""The short form of scripts/soak.py: half a minute of everything at once, and nothing is left of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "soak.py"


@pytest.mark.slow
@pytest.mark.build
@pytest.mark.timeout(150)
@pytest.mark.skipif(not shutil.which("openssl"), reason="it makes a certificate")
def test_short_soak() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(SCRIPT), "--minutes", "0.4"], capture_output=True, text=True, timeout=140
    )
    assert done.returncode == 0, done.stdout + done.stderr
