"""sock_*: tried at once, then when the kernel is ready; a cancelled task loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import ssl

import pytest


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=5) as sock:
        sock.setblocking(False)
        yield sock


@pytest.fixture
def udp_pair():
    with contextlib.ExitStack() as stack:
        pair = []
        for _ in range(2):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            pair.append(sock)
        yield pair


def fill(sock):
    """Write until the kernel takes no more; return how many bytes it took."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += sock.send(bytes(65536))
    return taken


def empty(sock, count):
    while count:
        count -= len(sock.recv(65536))


# --- Receiving


async def test_recv_of_what_is_there_and_of_what_comes(loop, socket_pair):
    left, right = socket_pair
    left.send(b"there")
    assert await loop.sock_recv(right, 100) == b"there"
    loop.call_later(0.01, left.send, b"comes")
    assert await loop.sock_recv(right, 3) == b"com"
    left.close()
    assert await loop.sock_recv(right, 100) == b"es"
    assert await loop.sock_recv(right, 100) == b""


async def test_recv_into(loop, socket_pair):
    left, right = socket_pair
    buffer = bytearray(4)
    loop.call_later(0.01, left.send, b"abcdef")
    assert await loop.sock_recv_into(right, buffer) == 4
    assert await loop.sock_recv_into(right, memoryview(buffer)[1:]) == 2
    assert buffer == b"aefd"


async def test_recvfrom_and_sendto(loop, udp_pair):
    left, right = udp_pair
    loop.call_later(0.01, left.sendto, b"hello", right.getsockname())
    assert await loop.sock_recvfrom(right, 100) == (b"hello", left.getsockname())
    assert await loop.sock_sendto(left, b"again", right.getsockname()) == 5
    assert await loop.sock_recvfrom(right, 3) == (b"aga", left.getsockname())
    await loop.sock_sendto(left, b"", right.getsockname())
    assert await loop.sock_recvfrom(right, 3) == (b"", left.getsockname())


async def test_recvfrom_into(loop, udp_pair):
    left, right = udp_pair
    buffer = bytearray(8)
    loop.call_later(0.01, left.sendto, b"hello", right.getsockname())
    assert await loop.sock_recvfrom_into(right, buffer) == (5, left.getsockname())
    left.sendto(b"HELLO", right.getsockname())
    assert await loop.sock_recvfrom_into(right, buffer, 2) == (2, left.getsockname())
    assert buffer == b"HEllo\0\0\0"


async def test_a_cancelled_recv_loses_no_data(loop, socket_pair):
    left, right = socket_pair
    task = loop.create_task(loop.sock_recv(right, 100))
    await asyncio.sleep(0.01)
    # The data comes and the task is cancelled before it can run again.
    left.send(b"precious")
    loop.call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await loop.sock_recv(right, 100) == b"precious"


async def test_a_timeout_on_recv_leaves_the_socket_usable(loop, socket_pair):
    left, right = socket_pair
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.sock_recv(right, 100), 0.001)
    assert loop.remove_reader(right) is False
    left.send(b"later")
    assert await loop.sock_recv(right, 100) == b"later"


async def test_an_error_of_the_system_is_raised(loop, listener):
    sock = socket.create_connection(listener.getsockname())
    sock.setblocking(False)
    conn, _ = await loop.sock_accept(listener)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    loop.call_later(0.01, conn.close)
    with sock, pytest.raises(ConnectionResetError):
        await loop.sock_recv(sock, 10)


async def test_reading_and_writing_one_socket_at_once(loop, socket_pair):
    left, right = socket_pair
    taken = fill(left)
    reading = loop.create_task(loop.sock_recv(left, 10))
    writing = loop.create_task(loop.sock_sendall(left, b"end"))
    await asyncio.sleep(0.01)
    empty(right, taken)
    right.send(b"hi")
    assert await reading == b"hi"
    await writing
    assert right.recv(10) == b"end"


# --- Sending


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_sendall_sends_all(loop, socket_pair, kind):
    left, right = socket_pair
    data = bytes(range(256)) * 8192

    async def receive():
        got = bytearray()
        while len(got) < len(data):
            got += await loop.sock_recv(right, 1 << 20)
        return got

    receiving = loop.create_task(receive())
    assert await loop.sock_sendall(left, kind(data)) is None
    assert await receiving == data


async def test_sendall_of_nothing_and_of_wider_items(loop, socket_pair):
    import array

    left, right = socket_pair
    await loop.sock_sendall(left, b"")
    await loop.sock_sendall(left, array.array("I", [1, 2]))
    assert len(right.recv(100)) == 8


async def test_a_cancelled_sendall_lets_go_of_the_socket_and_the_buffer(loop, socket_pair):
    left, right = socket_pair
    taken = fill(left)
    data = bytearray(10)
    task = loop.create_task(loop.sock_sendall(left, data))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    data.append(1)  # BufferError if somebody still held it
    assert loop.remove_writer(left) is False
    empty(right, taken)


# --- Connecting and accepting


async def test_connect_and_accept(loop, listener):
    with socket.socket() as sock:
        sock.setblocking(False)
        accepting = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        assert await loop.sock_connect(sock, listener.getsockname()) is None
        conn, address = await accepting
        with conn:
            assert address == sock.getsockname()
            assert conn.gettimeout() == 0


async def test_connect_looks_names_up(loop, listener):
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("localhost", listener.getsockname()[1]))
        assert sock.getpeername() == listener.getsockname()


async def test_a_refused_connection(loop, free_port):
    port = free_port()
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectionRefusedError) as info:
            await loop.sock_connect(sock, ("127.0.0.1", port))
    assert info.value.strerror == f"Connect call failed ('127.0.0.1', {port})"


async def test_a_cancelled_accept_keeps_the_connection(loop, listener):
    task = loop.create_task(loop.sock_accept(listener))
    await asyncio.sleep(0.01)
    with socket.create_connection(listener.getsockname()) as sock:
        loop.call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        conn, address = await loop.sock_accept(listener)
        conn.close()
        assert address == sock.getsockname()


async def test_a_unix_listener_without_room_is_waited_for(loop, unix_path):
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(unix_path)
        listener.listen(0)
        listener.setblocking(False)
        first, second = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        for sock in (first, second):
            sock.setblocking(False)
        await loop.sock_connect(first, unix_path)
        connecting = loop.create_task(loop.sock_connect(second, unix_path))
        await asyncio.sleep(0.01)
        assert not connecting.done()
        for _ in range(2):
            conn, _ = await loop.sock_accept(listener)
            stack.enter_context(conn)
        await connecting
        await loop.sock_sendall(second, b"x")
        assert await loop.sock_recv(conn, 1) == b"x"


async def test_connect_leaves_no_reference_cycle(loop, free_port):
    gc.collect()
    gc.disable()
    try:
        with socket.socket() as sock:
            sock.setblocking(False)
            with contextlib.suppress(ConnectionRefusedError):
                await loop.sock_connect(sock, ("127.0.0.1", free_port()))
        assert [exc for exc in gc.get_objects() if type(exc) is ConnectionRefusedError] == []
    finally:
        gc.enable()


# --- What they refuse


OPERATIONS = {
    "sock_recv": (1,),
    "sock_recv_into": (bytearray(1),),
    "sock_recvfrom": (1,),
    "sock_recvfrom_into": (bytearray(1),),
    "sock_sendall": (b"x",),
    "sock_sendto": (b"x", ("127.0.0.1", 1)),
    "sock_connect": (("127.0.0.1", 1),),
    "sock_accept": (),
    "sock_sendfile": (None,),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_debug_mode_refuses_a_blocking_socket(loop, name):
    loop.set_debug(True)
    with socket.socket() as sock, pytest.raises(ValueError, match="the socket must be non-blocking"):
        await getattr(loop, name)(sock, *OPERATIONS[name])


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_tls_socket_is_refused(loop, name):
    context = ssl.create_default_context()
    context.check_hostname = False
    with socket.socket() as raw, context.wrap_socket(raw, do_handshake_on_connect=False) as sock:
        sock.setblocking(False)
        with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
            await getattr(loop, name)(sock, *OPERATIONS[name])


async def test_a_closed_socket(loop, socket_pair):
    socket_pair[0].close()
    with pytest.raises(OSError, match="Bad file descriptor") as info:
        await loop.sock_recv(socket_pair[0], 1)
    assert info.value.errno == errno.EBADF


async def test_the_socket_of_a_transport_is_refused(loop, listener):
    transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
    try:
        sock = transport.get_extra_info("socket")._sock
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.sock_recv(sock, 1)
    finally:
        transport.abort()
        (await loop.sock_accept(listener))[0].close()
        await asyncio.sleep(0)


# --- Files


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    with path.open("rb") as file:
        yield file


class NotAFile:
    """What sendfile(2) cannot read: it has no descriptor."""

    def __init__(self, file):
        self.readinto, self.seek, self.tell = file.readinto, file.seek, file.tell


async def send_file(loop, file, *args, **kwargs):
    """Send it through a socket pair; return what sock_sendfile returned and what was received."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        got = bytearray()

        async def receive():
            while data := await loop.sock_recv(right, 1 << 20):
                got.extend(data)

        receiving = loop.create_task(receive())
        try:
            count = await loop.sock_sendfile(left, file, *args, **kwargs)
        finally:
            left.close()
            await receiving
        return count, bytes(got)


CONTENT = bytes(range(256)) * 4096


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [
        (0, None, CONTENT),
        (1000, None, CONTENT[1000:]),
        (1000, 5000, CONTENT[1000:6000]),
        (0, len(CONTENT) + 5, CONTENT),
        (len(CONTENT), None, b""),
        (len(CONTENT) + 9, 3, b""),
    ],
)
async def test_sendfile(loop, file, native, offset, count, expected):
    source = file if native else NotAFile(file)
    kwargs = {"fallback": False} if native else {}
    file.seek(7)
    result = await send_file(loop, source, offset, count, **kwargs)
    assert result == (len(expected), expected)
    assert file.tell() == offset + len(expected)


async def test_sendfile_of_an_empty_file(loop, tmp_path):
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert await send_file(loop, file) == (0, b"")


async def test_sendfile_without_a_descriptor_needs_the_fallback(loop, file):
    with pytest.raises(asyncio.SendfileNotAvailableError):
        await send_file(loop, NotAFile(file), fallback=False)


async def test_sendfile_puts_the_position_behind_what_was_sent_when_cancelled(loop, file, socket_pair):
    left, right = socket_pair
    task = loop.create_task(loop.sock_sendfile(left, file))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sent = file.tell()
    assert 0 < sent < len(CONTENT)
    got = b""
    while len(got) < sent:
        got += right.recv(1 << 20)
    assert got == CONTENT[:sent]


async def test_sendfile_when_the_peer_leaves(loop, file, socket_pair):
    left, right = socket_pair
    task = loop.create_task(loop.sock_sendfile(left, file))
    await asyncio.sleep(0.01)
    right.close()
    with pytest.raises((BrokenPipeError, ConnectionError)):
        await task


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0, 0), ValueError, r"count must be a positive integer \(got 0\)"),
        ((0, -1), ValueError, r"count must be a positive integer \(got -1\)"),
        ((0, "1"), TypeError, r"count must be a positive integer \(got '1'\)"),
        ((-1,), ValueError, r"offset must be a non-negative integer \(got -1\)"),
        (("1",), TypeError, r"offset must be a non-negative integer \(got '1'\)"),
    ],
)
async def test_sendfile_refuses(loop, file, socket_pair, args, error, message):
    with pytest.raises(error, match=message):
        await loop.sock_sendfile(socket_pair[0], file, *args)


async def test_sendfile_refuses_text_files_and_datagrams(loop, file, socket_pair, udp_pair):
    with open(file.name) as text, pytest.raises(ValueError, match="file should be opened in binary mode"):
        await loop.sock_sendfile(socket_pair[0], text)
    with pytest.raises(ValueError, match="only SOCK_STREAM type sockets are supported"):
        await loop.sock_sendfile(udp_pair[0], file)
