"""The same world is the same log, byte for byte: in each run and process, with any hashes of strings, in both speeds."""

from __future__ import annotations

import sys

import pytest

import cede

from .determinism import WORLDS, digests, digests_elsewhere, log_of


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_the_same_in_each_run_and_another_with_another_seed(name: str) -> None:
    assert log_of(name, 0) == log_of(name, 0) != log_of(name, 1)


def test_other_processes_have_the_same_logs() -> None:
    here = list(digests())
    assert here == digests_elsewhere(sys.executable, pure=True, hash_seed="0")
    assert here == digests_elsewhere(sys.executable, pure=not cede.compiled, hash_seed="random")


def test_who_is_cancelled_first() -> None:
    ended = [int(line.split("'")[-2]) for line in log_of("endings", 0) if "'ends'" in line]
    assert ended == 4 * [*range(30)]
