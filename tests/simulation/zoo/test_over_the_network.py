"""Mistakes that people make, over a network that misbehaves: each is found, made small, and its mended twin passes.

`CEDE_TEST_EXAMPLES=2000` lets the mended ones run so often.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cede.simulation import World, explore
from tests.io.conftest import Certificates

from . import over_the_network
from .over_the_network import ROWS, Row

RUNS_OF_THE_MENDED = int(os.environ.get("CEDE_TEST_EXAMPLES", "15"))

pytestmark = [
    pytest.mark.build,  # takes long, and is the same everywhere
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # these programs are careless
]


@pytest.fixture(scope="module", autouse=True)
def certificates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Certificates for the row that speaks TLS."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    Certificates(folder)
    over_the_network.CERTIFICATES = folder


@pytest.mark.timeout(120 if RUNS_OF_THE_MENDED <= 100 else 6000)
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.number} {row.program.__name__}" for row in ROWS])
def test_the_mistake_is_found_and_made_small_and_its_mended_twin_passes(row: Row) -> None:
    async def mistaken(world: World) -> None:
        await row.program(world, False)

    async def mended(world: World) -> None:
        await row.program(world, True)

    found = explore(mistaken, seeds=range(row.seeds), first=True, shrink_seconds=3600, max_time=1000.0)
    assert found.failures, f"not found in {row.seeds} runs"
    assert len(found.failures[0].story) <= row.choices, str(found)
    passed = explore(mended, seeds=range(RUNS_OF_THE_MENDED), max_time=1000.0)
    assert not passed.failures, str(passed)
