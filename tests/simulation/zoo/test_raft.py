"""Raft: five invariants hold in every run, and each planted mistake breaks one of them within 300 seeds."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cede.simulation import run

pytestmark = pytest.mark.build  # takes long, and is the same everywhere

RUNS = int(os.environ.get("CEDE_TEST_EXAMPLES", "10"))
SEEDS = 300
FILE = Path(__file__).resolve().parents[3] / "examples" / "raft.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("raft", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


raft = loaded()


def outcome(seed: int, mistake: str = "") -> Any:
    """How many commands were agreed on, or which invariant was broken."""

    async def main(world: Any) -> int:
        agreed: int = await raft.trial(world, mistake)
        return agreed

    try:
        return run(main, seed=seed, max_time=1000.0)
    except AssertionError as exc:
        return str(exc).partition(":")[0]


@pytest.mark.timeout(120 if RUNS <= 100 else 6000)
def test_the_invariants_hold_and_the_cluster_gets_on() -> None:
    for seed in range(RUNS):
        assert isinstance(outcome(seed), int), seed


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mistake", raft.MISTAKES)
def test_a_planted_mistake_is_found(mistake: str) -> None:
    broken = next((found for seed in range(SEEDS) if isinstance(found := outcome(seed, mistake), str)), None)
    assert broken is not None, f"not found in {SEEDS} runs"
    assert broken != "liveness"
