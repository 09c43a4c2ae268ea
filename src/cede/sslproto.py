"""TLS as a protocol: asyncio's own class, for those who wrap a transport in it themselves. cede's TLS is in `io/`."""

from __future__ import annotations

from asyncio.sslproto import SSLProtocol, _create_transport_context, _SSLProtocolTransport, add_flowcontrol_defaults

__all__ = ("SSLProtocol", "_SSLProtocolTransport", "_create_transport_context", "add_flowcontrol_defaults")
