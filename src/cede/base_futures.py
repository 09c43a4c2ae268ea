"""What asyncio's two kinds of futures have in common, under the names of its private module."""

from __future__ import annotations

from asyncio.base_futures import _CANCELLED, _FINISHED, _PENDING

from .engine.reports import future_repr as _future_repr
from .futures import isfuture

__all__ = ("isfuture", "_CANCELLED", "_FINISHED", "_PENDING", "_future_repr")
