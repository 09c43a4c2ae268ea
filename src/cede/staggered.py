"""staggered_race, under the name of the stdlib's private module: some libraries import it from there."""

from __future__ import annotations

from .net.staggered import staggered_race

__all__ = ("staggered_race",)
