"""What goes wrong with servers and with many connections: no descriptors left, storms of connections, connections that
are gone before they are accepted, a busy one among thousands that are idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import struct
import time

import pytest

from tests.idle import idle


class Echo(asyncio.Protocol):
    def __init__(self, log=None):
        self.log = log

    def connection_made(self, transport):
        self.transport = transport
        if self.log is not None:
            self.log.append("made")

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        if self.log is not None:
            self.log.append("lost")


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def echoed(loop, sock, data=b"ping"):
    await loop.sock_sendall(sock, data)
    return await asyncio.wait_for(loop.sock_recv(sock, 1000), 5) == data


async def wait_for(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def new_client():
    sock = socket.socket()
    sock.setblocking(False)
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def no_descriptors_left():
    """Use up every descriptor that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 3
    hogs = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                hogs.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in hogs:
            os.close(fd)


# --- Accepting fails


async def test_the_exception_handler_may_close_the_server(loop):
    reports = []
    async with await loop.create_server(Echo, sock=failing_listener(errno.EIO)) as server:

        def handler(loop, context):
            reports.append(context)
            server.close()

        loop.set_exception_handler(handler)
        with new_client() as sock:
            with contextlib.suppress(ConnectionError):
                await loop.sock_connect(sock, server.sockets[0].getsockname())
            await wait_for(lambda: reports)
            await turns()
    assert len(reports) == 1


@pytest.mark.cede_only("asyncio's older loops report once for each connection of the backlog")
async def test_without_descriptors_it_waits_and_says_so_once_a_second(loop, loop_errors):
    """Those who wait are accepted later; who is connected is served meanwhile, and the loop does not spin."""
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        with new_client() as early, new_client() as first, new_client() as second:
            await loop.sock_connect(early, address)
            assert await echoed(loop, early)
            with no_descriptors_left():
                for sock in (first, second):
                    await loop.sock_connect(sock, address)
                    await loop.sock_sendall(sock, b"ping")
                with idle():
                    await asyncio.sleep(0.3)
                assert await echoed(loop, early)
            assert [error["message"] for error in loop_errors] == ["socket.accept() out of system resource"]
            assert loop_errors[0]["exception"].errno == errno.EMFILE
            loop_errors.clear()
            for sock in (first, second):
                assert await asyncio.wait_for(loop.sock_recv(sock, 10), 5) == b"ping"


async def test_a_server_may_close_while_it_waits_for_descriptors(loop, loop_errors):
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        with new_client() as sock:
            with no_descriptors_left():
                await loop.sock_connect(sock, server.sockets[0].getsockname())
                await wait_for(lambda: loop_errors)
            server.close()
            await asyncio.wait_for(server.wait_closed(), 5)
    assert {error["exception"].errno for error in loop_errors} == {errno.EMFILE}
    loop_errors.clear()


class Failing(socket.socket):
    """A listening socket whose `accept` raises what stands in `errors` first."""

    errors: list[int | BaseException]

    def accept(self):
        if self.errors:
            error = self.errors.pop(0)
            raise OSError(error, os.strerror(error)) if isinstance(error, int) else error
        return super().accept()


def failing_listener(*errors):
    sock = Failing()
    sock.bind(("127.0.0.1", 0))
    sock.errors = list(errors)
    return sock


PASSING = [
    errno.ECONNABORTED,
    errno.EINTR,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.ETIMEDOUT,
    errno.EPERM,
]


@pytest.mark.cede_only("asyncio reports most of them")
async def test_an_error_of_one_connection_is_passed_over(loop):
    """accept(2): errors of the network that belong to the connection which was to be accepted, or a firewall's no."""
    async with await loop.create_server(Echo, sock=failing_listener(*PASSING)) as server:
        with new_client() as sock:
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            assert await echoed(loop, sock)


@pytest.mark.cede_only("asyncio asks again at once, and for ever")
async def test_another_error_is_reported_and_accepting_goes_on_later(loop, loop_errors):
    async with await loop.create_server(Echo, sock=failing_listener(errno.EIO)) as server:
        with new_client() as sock:
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            assert await echoed(loop, sock)
    (error,) = loop_errors
    assert error["message"] == "socket.accept() failed"
    assert error["exception"].errno == errno.EIO
    loop_errors.clear()


@pytest.mark.cede_only("asyncio asks again at once")
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("accept")])
async def test_what_is_no_error_of_the_network_does_not_end_the_loop_either(loop, loop_errors, error):
    async with await loop.create_server(Echo, sock=failing_listener(error)) as server:
        with new_client() as sock:
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            await wait_for(lambda: loop_errors)
    (context,) = loop_errors
    failed = "out of system resource" if isinstance(error, MemoryError) else "failed"
    assert context["message"] == f"socket.accept() {failed}"
    assert context["exception"] is error
    loop_errors.clear()


@pytest.mark.cede_only("asyncio asks again at once, and for ever")
async def test_a_socket_that_listens_no_more_is_given_up(loop, loop_errors):
    async with await loop.create_server(Echo, "127.0.0.1", 0) as server:
        server._sockets[0].shutdown(socket.SHUT_RDWR)
        await wait_for(lambda: loop_errors)
        await asyncio.sleep(0.02)
        assert [error["exception"].errno for error in loop_errors] == [errno.EINVAL]
        loop_errors.clear()


# --- Storms


async def test_connections_that_are_reset_before_they_are_accepted(loop):
    log = []
    async with await loop.create_server(lambda: Echo(log), "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        for kind in (reset, socket.socket.close):
            for _ in range(50):
                sock = socket.create_connection(address)
                sock.send(b"never mind")
                kind(sock)
        with new_client() as sock:
            await loop.sock_connect(sock, address)
            assert await echoed(loop, sock)
        await wait_for(lambda: log.count("lost") == 101)
        assert log.count("made") == 101


@pytest.mark.cede_only("asyncio accepts all of its backlog in one turn")
async def test_a_storm_of_connections_starves_nobody(loop):
    """While hundreds wait to be accepted, every turn serves those who are connected."""
    log = []
    async with await loop.create_server(lambda: Echo(log), "127.0.0.1", 0, backlog=1000) as server:
        address = server.sockets[0].getsockname()
        clients = [new_client() for _ in range(400)]  # both ends of each fit into the 1,024 that most users get
        try:
            for sock in clients:
                sock.connect_ex(address)
            largest = before = 0
            turns_taken = 0
            while log.count("made") < len(clients):
                await asyncio.sleep(0)
                turns_taken += 1
                largest = max(largest, log.count("made") - before)
                before = log.count("made")
            assert largest <= 64
            assert turns_taken >= len(clients) // 64
            for sock in (clients[0], clients[-1]):
                assert await echoed(loop, sock)
        finally:
            for sock in clients:
                sock.close()
        await wait_for(lambda: log.count("lost") == len(clients))


async def test_clients_that_come_and_go(loop):
    """Connections that end as soon as they are there, one after another: nothing is left of them."""
    log = []
    async with await loop.create_server(lambda: Echo(log), "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        for index in range(300):
            sock = socket.create_connection(address)
            (reset if index % 3 == 0 else socket.socket.close)(sock)
            if index % 50 == 0:
                await turns()
        await wait_for(lambda: log.count("lost") == 300)
        assert log.count("made") == 300


@pytest.mark.cede_only("asyncio says so in debug mode only, and leaves the connection open")
async def test_a_factory_that_fails_now_and_then(loop, loop_errors):
    made = 0

    def factory():
        nonlocal made
        made += 1
        if made % 2:
            raise ZeroDivisionError
        return Echo()

    async with await loop.create_server(factory, "127.0.0.1", 0) as server:
        for index in range(10):
            with new_client() as sock:
                await loop.sock_connect(sock, server.sockets[0].getsockname())
                if index % 2:
                    assert await echoed(loop, sock)
                else:
                    assert await loop.sock_recv(sock, 1) == b""
    assert len(loop_errors) == 5
    loop_errors.clear()


# --- Many connections


async def round_trips(loop, sock, count):
    began = time.perf_counter()
    for _ in range(count):
        await loop.sock_sendall(sock, b"ping")
        await loop.sock_recv(sock, 10)
    return time.perf_counter() - began


@pytest.mark.linux("poll looks at every one of them")
async def test_a_busy_connection_among_thousands_of_idle_ones(loop):
    """It costs about the same whether ten others are idle or ten thousand."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(10_000, (soft - len(os.listdir("/proc/self/fd")) - 100) // 2)
    idle = []
    busy, sock = socket.socketpair()
    times = []
    try:
        busy.setblocking(False)
        sock.setblocking(False)
        await loop.create_connection(Echo, sock=busy)
        for wanted in (10, many):
            while len(idle) < wanted:
                mine, theirs = socket.socketpair()
                mine.setblocking(False)
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=mine)
                idle.append((transport, theirs))
            times.append(min([await round_trips(loop, sock, 100) for _ in range(10)]))
        assert times[1] < 5 * times[0]
    finally:
        for transport, theirs in idle:
            transport.abort()
            theirs.close()
        sock.close()
        await turns(10)


# --- Datagrams


class NoRoom(socket.socket):
    """A socket whose network card has no room now and then."""

    errors: list[int]

    def send(self, data, *args):
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return super().send(data, *args)


async def test_no_buffers_for_a_datagram(loop):
    """ENOBUFS loses the datagram, as UDP may, and is told; the next one goes."""

    class Client(asyncio.DatagramProtocol):
        errors: list[int] = []

        def error_received(self, exc):
            self.errors.append(exc.errno)

    with socket.socket(type=socket.SOCK_DGRAM) as target, NoRoom(type=socket.SOCK_DGRAM) as sock:
        target.bind(("127.0.0.1", 0))
        target.setblocking(False)
        sock.connect(target.getsockname())
        sock.setblocking(False)
        sock.errors = [errno.ENOBUFS]
        transport, protocol = await loop.create_datagram_endpoint(Client, sock=sock)
        transport.sendto(b"lost")
        transport.sendto(b"sent")
        assert await asyncio.wait_for(loop.sock_recv(target, 10), 5) == b"sent"
        assert protocol.errors == [errno.ENOBUFS]
        transport.close()
        await turns()


# --- Children


async def test_a_child_that_closes_its_stdin_early(loop):
    """Writing ends in a broken pipe; the child is heard to its end."""
    child = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        "exec 0<&-; sleep 0.05; echo still here",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            child.stdin.write(bytes(100_000))
            await child.stdin.drain()
    assert await child.stdout.read() == b"still here\n"
    assert await child.wait() == 0


@pytest.mark.parametrize("script", ["exec 0<&-; echo out", "head -c 10 >/dev/null; echo out", "echo out; kill $$"])
async def test_much_for_a_child_that_does_not_listen(loop, script):
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(bytes(3_000_000)), 10)
    assert out == b"out\n"
