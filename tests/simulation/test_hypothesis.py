"""Beside Hypothesis: inputs from there, the rest from the world; machines whose rules are coroutines."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from cede.simulation import run
from cede.simulation.hypothesis import SimulatedStateMachine, seeds

QUICK = settings(derandomize=True, max_examples=20, deadline=None, database=None, stateful_step_count=10)


@QUICK
@given(delays=st.lists(st.integers(0, 100), max_size=5), seed=seeds())
def test_inputs_and_seeds_are_drawn(delays: list[int], seed: int) -> None:
    async def main(delays: list[int]) -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(asyncio.sleep(delay) for delay in delays))
        return asyncio.get_running_loop().time() - began

    assert max(delays, default=0) <= run(partial(main, delays), seed=seed) < max(delays, default=0) + 1


class Bank(SimulatedStateMachine):
    """Deposits at once, withdrawals take their time."""

    overdraws = False

    @initialize()
    async def begin(self) -> None:
        self.lock = asyncio.Lock()
        self.balance, self.paid = 0, 0
        await asyncio.sleep(1)

    @rule(amount=st.integers(50, 60))
    async def deposit(self, amount: int) -> None:
        await asyncio.sleep(0.01)
        self.balance += amount

    @rule(amount=st.integers(40, 50))
    def withdraw(self, amount: int) -> None:
        self.start(self.withdrawal(amount))

    async def withdrawal_of(self, amount: int) -> None:
        if self.balance >= amount:
            await asyncio.sleep(0.05)
            self.balance -= amount

    async def locked(self, amount: int) -> None:
        async with self.lock:
            await self.withdrawal_of(amount)

    def withdrawal(self, amount: int) -> Any:
        return self.withdrawal_of(amount) if self.overdraws else self.locked(amount)

    @precondition(lambda self: self.balance > 50)
    @rule()
    async def wait(self) -> None:
        await asyncio.sleep(1)

    @invariant()
    async def never_negative(self) -> None:
        assert self.balance >= 0, "overdrawn"


class HastyBank(Bank):
    overdraws = True


def test_rules_of_a_machine_are_coroutines_of_one_world() -> None:
    run_state_machine_as_test(Bank, settings=QUICK)


def test_what_a_machine_does_wrong_is_found() -> None:
    with pytest.raises(AssertionError, match="overdrawn"):
        run_state_machine_as_test(HastyBank, settings=settings(QUICK, max_examples=100, phases=[Phase.generate]))
