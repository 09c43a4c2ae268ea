"""`connect_read_pipe`, `connect_write_pipe`: pipes, sockets and character devices as transports."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..io.pipe_transport import ReadPipeTransport, WritePipeTransport

logger = logging.getLogger("asyncio")


async def connect_read_pipe(loop: Any, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:
    """Read from `pipe`, a file-like object that the transport owns from then on; return transport and protocol.

    ValueError for a regular file: those are always "ready", and reading them blocks.
    """
    return await _connected(loop, ReadPipeTransport, protocol_factory, pipe, "Read")


async def connect_write_pipe(loop: Any, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:
    """Write to `pipe`, a file-like object that the transport owns from then on; return transport and protocol.

    ValueError for a regular file.
    """
    return await _connected(loop, WritePipeTransport, protocol_factory, pipe, "Write")


async def _connected(
    loop: Any, transport_class: Any, protocol_factory: Callable[[], Any], pipe: Any, word: str
) -> tuple[Any, Any]:
    protocol = protocol_factory()
    waiter = loop.create_future()
    transport = transport_class(loop, pipe, protocol, waiter)
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    if loop.get_debug():
        logger.debug("%s pipe %r connected: (%r, %r)", word, pipe.fileno(), transport, protocol)
    return transport, protocol
