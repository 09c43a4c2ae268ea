"""Copying and pickling of locks and queues: as asyncio's, they can be while nobody waits for them."""

from __future__ import annotations

from typing import Any

# What is made anew in a copy. (Interpreted, these are among the variables of an object.)
_MADE_ANEW = {
    *("_loop", "_state", "_lock", "locked", "acquire", "release"),
    *("_waiters", "_arrived", "_outside", "_getters", "_putters", "_all_done"),
    *("_plain", "_fifo", "_wakes", "_promised", "_engine", "_resource", "_taken_by", "_what"),
}
_LINES = ("_waiters", "_arrived", "_outside", "_getters", "_putters")  # where tasks stand, in one class or the other


class Copied:
    """Has a state that `copy`, `deepcopy` and `pickle` can take, and begin another object with."""

    # The fields that a copy gets, beside the variables that a subclass adds.
    _TOLD: tuple[str, ...] = ("_loop",)

    def _begin_again(self, told: dict[str, Any]) -> None:
        """Do what `__init__` does, in an object that was made without."""
        raise NotImplementedError

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if any((line := getattr(self, name, None)) is not None and line.waiting() for name in _LINES):
            raise TypeError(f"cannot copy or pickle {self!r}: tasks wait for it")
        variables = {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}
        return variables, {name: getattr(self, name) for name in self._TOLD}

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        variables, told = state
        self._begin_again(told)
        vars(self).update(variables)
        for name in self._TOLD:
            setattr(self, name, told[name])
