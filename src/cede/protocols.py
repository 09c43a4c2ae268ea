"""The base classes of protocols: the stdlib's own, so that every library's protocols fit."""

from __future__ import annotations

from asyncio.protocols import (  # type: ignore[attr-defined]
    BaseProtocol,
    BufferedProtocol,
    DatagramProtocol,
    Protocol,
    SubprocessProtocol,
    _feed_data_to_buffered_proto,  # noqa: F401
)

__all__ = ("BaseProtocol", "Protocol", "DatagramProtocol", "SubprocessProtocol", "BufferedProtocol")
