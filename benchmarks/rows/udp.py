"""UDP: echo."""

import asyncio

from benchmarks.clients import LimitServer, datagrams
from benchmarks.row import KIB, each, server


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


@server(
    "udp-echo-{size}-{connections}",
    "UDP echo, {size}, peers: {connections}",
    each(connections=(1, 10), size=(KIB,)),
    client=datagrams,
    limit=LimitServer("datagram"),
)
async def udp_echo():
    return await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
