"""What `get_extra_info("socket")` returns: asyncio's own class."""

from __future__ import annotations

from asyncio.trsock import TransportSocket

__all__ = ("TransportSocket",)
