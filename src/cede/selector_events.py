"""The loop and the transports of sockets under the names where asyncio keeps them."""

from __future__ import annotations

from .event_loop import EventLoop as BaseSelectorEventLoop
from .io.datagram_transport import DatagramTransport as _SelectorDatagramTransport
from .io.stream_transport import StreamTransport as _SelectorSocketTransport

__all__ = ("BaseSelectorEventLoop", "_SelectorDatagramTransport", "_SelectorSocketTransport")
