"""Each bug of the zoo is found within the seeds that the docs state, and its mended twin passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cede.simulation import explore

from . import cancellations, clusters, growth, overload, races  # noqa: F401
from .parts import BUGS, Bug

pytestmark = pytest.mark.build  # takes long, and is the same everywhere

MENDED_SEEDS = 15  # of the 200 that `python -m tests.simulation.zoo` has


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bug", [BUGS[number] for number in sorted(BUGS)], ids=lambda bug: f"{bug.number}-{bug.name}")
def test_a_bug_is_found_and_its_mended_twin_passes(bug: Bug) -> None:
    found = explore(bug.wrong, seeds=range(bug.seeds), first=True, shrink_seconds=3600, **bug.settings)
    assert found.failures, f"not found in {found.runs} runs"
    (failure,) = found.failures
    assert 0 < len(failure.story) <= bug.choices, failure.report()
    mended = explore(bug.mended, seeds=range(MENDED_SEEDS), **bug.settings)
    assert not mended.failures, str(mended)


LOGS = """
import sys
sys.path.insert(0, sys.argv[1])
from cede.simulation.choices import Uniform
from cede.simulation.exploring import Explorer
from cede.simulation.running import begin
from functools import partial
from tests.simulation.zoo import cancellations, clusters, growth, overload, races
from tests.simulation.zoo.parts import BUGS

for number, bug in sorted(BUGS.items()):
    for seed in (1, 2):
        outcome = Explorer(partial(begin, bug.wrong), bug.settings).once(seed, Uniform(seed, swarm=False), log=True)
        print(number, seed, outcome.kind and outcome.kind[0], len(outcome.events), hash_of(outcome.events))
""".replace("hash_of(outcome.events)", "__import__('hashlib').md5(repr(outcome.events).encode()).hexdigest()")


def test_the_logs_are_the_same_compiled_and_interpreted_and_whatever_strings_hash_to(
    run_python: Callable[..., Any],
) -> None:
    root = str(Path(__file__).parents[3])
    options = {"CEDE_PURE": "1", "PYTHONHASHSEED": "1"}, {"CEDE_PURE": "", "PYTHONHASHSEED": "2"}
    one, other = (run_python(LOGS, root, env=env).stdout.splitlines() for env in options)
    assert len(one) == 2 * len(BUGS)
    assert one == other
