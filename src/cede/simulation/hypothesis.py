"""Beside Hypothesis: it draws the inputs, the world draws everything else.

Hypothesis shrinks the inputs of a failure with the seed held; the world shrinks its choices with the inputs held.
Inside of a world nothing is drawn by Hypothesis: a run takes thousands of choices, more than an example of its may
have.

    @given(orders=lists(integers()), seed=simulation.hypothesis.seeds())
    def test_shop(orders, seed):
        cede.simulation.run(partial(shop, orders), seed=seed)

`SimulatedStateMachine` is a `RuleBasedStateMachine` whose rules and invariants may be `async def`: those of one
machine run in one world. This module needs `hypothesis`, which cede does not bring.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import ExitStack
from typing import Any

from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine

from .running import opened

# Where Hypothesis notes on a function what it is: each holds an object with the `function` to be called.
_MARKERS = ("hypothesis_stateful_rule", "hypothesis_stateful_initialize_rule", "hypothesis_stateful_invariant")


def seeds() -> Any:
    """Return a strategy for the seed of a world. Smaller ones are no simpler: it is to be drawn last."""
    return strategies.integers(min_value=0, max_value=2**32 - 1)


class SimulatedStateMachine(RuleBasedStateMachine):
    """A state machine in a world of its own, `self.world`.

    Rules, initializers and invariants may be coroutine functions, which are run on the host "main" until they are
    done; what they start in the background (`self.start`) goes on in later rules. The class attributes `seed`
    and `settings_of_world` are those of the world.
    """

    seed = 0
    settings_of_world: dict[str, Any] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for thing in vars(cls).values():
            for marker in _MARKERS:
                found = getattr(thing, marker, None)
                if found is not None and inspect.iscoroutinefunction(found.function):
                    object.__setattr__(found, "function", _driven(found.function))  # some of them are frozen

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.world = self._stack.enter_context(opened(seed=self.seed, **self.settings_of_world))
        self.world.host("main")
        super().__init__()

    def start(self, awaitable: Any) -> asyncio.Task[Any]:
        """Run an awaitable beside the rules that follow, and return its task."""
        task: asyncio.Task[Any] = self.world.hosts["main"].spawn(awaitable)
        return task

    def teardown(self) -> None:
        """End the world. Who overrides this calls it, too."""
        self._stack.close()


def _driven(function: Any) -> Any:
    """Return what runs a coroutine function in the machine's world."""

    @functools.wraps(function)
    def drive(self: SimulatedStateMachine, *args: Any, **kwargs: Any) -> Any:
        return self.world.drive(function(self, *args, **kwargs))

    return drive
