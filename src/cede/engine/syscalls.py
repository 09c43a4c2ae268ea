"""The system calls: waiting, reading, writing, receiving, sending, accepting.

This module has a twin, `syscalls.pxd`, as `native` has, under the same law: a function makes one call of the system
and says what came of it. It is never compiled itself.
"""

import select as _select
import socket
import time

from . import own_calls

# --- Time ---------------------------------------------------------------------------------------

monotonic = time.monotonic


# --- Readiness ----------------------------------------------------------------------------------


def has_epoll():
    """Whether the system has epoll; compiled, whether the one had it on which this was built."""
    return hasattr(_select, "epoll")


def event_buffer():
    """Memory for what one wait brings."""
    return []


def precise_waits(enable):
    """Ask the kernel not to round this thread's timeouts (50 us by default); interpreted, leave it."""
    return enable


def epoll_add(epoll, fd, watched, events):
    """Have `epoll` (its descriptor is `fd`) watch the descriptor `watched`; OSError as the system says."""
    epoll.register(watched, events)


def epoll_modify(epoll, fd, watched, events):
    """Change what `epoll` watches `watched` for; OSError as the system says."""
    epoll.modify(watched, events)


def epoll_remove(epoll, fd, watched):
    """Watch `watched` no more; OSError as the system says."""
    epoll.unregister(watched)


def epoll_wait(epoll, fd, buffer, timeout):
    """Wait on `epoll` (its descriptor is `fd`) for at most `timeout` seconds (negative: for ever).

    Returns how many events came. An interrupted wait runs the signal handlers and returns 0.
    """
    if 0 < timeout < 0.5 and fd < 1024:
        # epoll_wait rounds up to whole milliseconds; select does not, and an epoll descriptor can
        # itself be selected on.
        readable, _, _ = _select.select([fd], (), (), timeout)
        if not readable:
            return 0
        timeout = 0
    buffer[:] = epoll.poll(timeout if timeout >= 0 else None)
    return len(buffer)


# event(buffer, index): the descriptor of the event at `index`, and the kernel's bits for what came.
event = list.__getitem__


# --- Bytes --------------------------------------------------------------------------------------

# A descriptor from 2**30 up is no real kernel's: compiled, the functions here then do what these bodies do.


def learn_sockets():
    """Look whether sockets can be asked for their numbers without a call, as is done otherwise with the first one."""


def read_buffer(size):
    """Memory of `size` bytes into which anybody may read, as nobody keeps anything there. Interpreted, none."""


def read(fd, buffer, size):
    """Read at most `size` bytes from a non-blocking descriptor.

    Compiled, they pass through `buffer` if they fit there. Returns b"" at the end of the stream, None if
    nothing is there yet; OSError as the system says.
    """
    try:
        return own_calls.read(fd, size)
    except (BlockingIOError, InterruptedError):
        return None


def number_of(file):
    """The descriptor that a socket or file has now; -1 or an error, whatever it says, if it was closed or detached."""
    return file.fileno()


def receive(sock, fd, buffer, size):
    """Read at most `size` bytes from a socket, as `read` does; compiled, also from a blocking one without blocking."""
    try:
        return sock.recv(size)
    except (BlockingIOError, InterruptedError):
        return None


def send_bytes(sock, fd, data):
    """Send what a socket takes of `data` (bytes) at once; return how much that was; OSError as the system says."""
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0


def accept(sock, fd):
    """Accept a connection of a socket of the internet, which is not inherited by children.

    Returns its descriptor and its address as the socket module gives it, or None if there is none; OSError as the
    system says.
    """
    try:
        return sock._accept()
    except (BlockingIOError, InterruptedError):
        return None


def address_buffer():
    """Memory for the address that the last datagram came from."""


def receive_from(sock, fd, buffer, size, last, known):
    """Receive a datagram of at most `size` bytes: (datagram, address), None if there is none.

    `last` is an `address_buffer`, `known` what was returned for the address in it, None at first; compiled, that is
    returned again for a datagram from there. Compiled, the address is None if it is no internet address.
    """
    try:
        return sock.recvfrom(size)
    except (BlockingIOError, InterruptedError):
        return None


def send_to(sock, fd, data, last, known):
    """Send a datagram (bytes) to the address that `receive_from` left in `last`; -1 if the kernel has no room."""
    try:
        return sock.sendto(data, known)
    except (BlockingIOError, InterruptedError):
        return -1


def receive_into(sock, fd, buffer):
    """Read from a socket into a writable bytes-like object; the count, 0 at the end, -1 if nothing is there yet."""
    try:
        return sock.recv_into(buffer)
    except (BlockingIOError, InterruptedError):
        return -1


def write_bytes(fd, data):
    """Write what a descriptor takes of `data` (bytes) at once; return how much that was, -1 if it takes none now."""
    try:
        return own_calls.write(fd, data)
    except (BlockingIOError, InterruptedError):
        return -1


def write(fd, chunks, skip, most):
    """Write the first `most` of `chunks` (a list of bytes), less `skip` bytes of the first one.

    Returns how many bytes the descriptor took, -1 if it takes none now; OSError as the system says.
    """
    try:
        if skip:
            return own_calls.writev(fd, [memoryview(chunks[0])[skip:], *chunks[1:most]])
        if len(chunks) == 1:
            return own_calls.write(fd, chunks[0])
        return own_calls.writev(fd, chunks[:most])
    except (BlockingIOError, InterruptedError):
        return -1


def send(sock, fd, chunks, skip, most):
    """Send the first `most` of `chunks` (a list of bytes), less `skip` bytes of the first one, through a socket.

    Returns how many bytes it took, -1 if it takes none now; OSError as the system says.
    """
    try:
        if skip:
            return sock.sendmsg([memoryview(chunks[0])[skip:], *chunks[1:most]])
        if len(chunks) == 1:
            return sock.send(chunks[0])
        return sock.sendmsg(chunks[:most])
    except (BlockingIOError, InterruptedError):
        return -1


def set_nodelay(sock, fd):
    """Send small segments at once (TCP_NODELAY); sockets that are not TCP stay as they are."""
    if sock.type == socket.SOCK_STREAM and sock.proto in (0, socket.IPPROTO_TCP):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass
