"""Other people's libraries, unmodified, in a world: they work, and the same seed is the same run in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.io.conftest import Certificates

from .mains import MAINS, ROUNDS, digest, played

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

EXPECTED = {
    "aiohttp": [{"path": f"/{number}", "size": 100_000} for number in range(ROUNDS)],
    "uvicorn": [f"/{number}" for number in range(ROUNDS)],
    "websockets": [f"message {number}" for number in range(ROUNDS)],
    "redis": [True, b"value"],
    "tls": [b"LINE %d\n" % number for number in range(ROUNDS)],
}
SEED = 3


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    place = tmp_path_factory.mktemp("certificates")
    Certificates(place)
    return place


@pytest.mark.parametrize("name", MAINS)
def test_a_library_works_and_the_same_seed_is_the_same_run(name: str, folder: Path) -> None:
    if name != "tls":
        pytest.importorskip(name)
    seen, lines = played(name, SEED, folder)
    assert seen == EXPECTED[name]
    assert played(name, SEED, folder) == (seen, lines)
    assert played(name, SEED + 1, folder)[1] != lines
    # Interpreted, and with other hashes of strings, in another process.
    environment = {**os.environ, "CEDE_PURE": "1", "PYTHONHASHSEED": "77"}
    command = [sys.executable, Path(__file__).with_name("mains.py"), name, str(SEED), folder]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == digest(lines)
