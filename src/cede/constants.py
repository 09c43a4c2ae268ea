"""asyncio's constants, for who reads them: changing them here changes nothing."""

from __future__ import annotations

from asyncio.constants import (
    ACCEPT_RETRY_DELAY,
    DEBUG_STACK_DEPTH,
    FLOW_CONTROL_HIGH_WATER_SSL_READ,
    FLOW_CONTROL_HIGH_WATER_SSL_WRITE,
    LOG_THRESHOLD_FOR_CONNLOST_WRITES,
    SENDFILE_FALLBACK_READBUFFER_SIZE,
    SSL_HANDSHAKE_TIMEOUT,
    SSL_SHUTDOWN_TIMEOUT,
)

THREAD_JOIN_TIMEOUT = 300  # seconds that the threads of the default executor get to end

__all__ = (
    "ACCEPT_RETRY_DELAY",
    "DEBUG_STACK_DEPTH",
    "FLOW_CONTROL_HIGH_WATER_SSL_READ",
    "FLOW_CONTROL_HIGH_WATER_SSL_WRITE",
    "LOG_THRESHOLD_FOR_CONNLOST_WRITES",
    "SENDFILE_FALLBACK_READBUFFER_SIZE",
    "SSL_HANDSHAKE_TIMEOUT",
    "SSL_SHUTDOWN_TIMEOUT",
    "THREAD_JOIN_TIMEOUT",
)
