"""The calls that are C when the engine is compiled: one plain-Python body each.

This module has a twin, `native.pxd`, with functions of the same names and arguments whose bodies
are inlined C. A module says `from . import native` and calls `native.resume(...)`; its own `.pxd`
says `from . cimport native`. Compiled, that is a C call; interpreted, the function below.

Law: nothing here decides anything. A function does one call of the interpreter or of the system
and says what came of it. This module itself is never compiled.
"""

import contextvars
import os
import socket
import threading
import time

# --- Coroutines and contexts ------------------------------------------------------------------
#
# A step of a coroutine never raises: it answers. What it yielded stands for itself; its end is a pair,
# (StopIteration, value) if it returned and (BaseException, exception) if it raised, because raising
# StopIteration costs an exception a task, and because a raised exception would take our frames into
# the user's traceback. No awaitable yields such a pair.


def resume(context, coro):
    """Run `coro` inside `context` to its next suspension: what it yielded, or the pair of its end.

    A context that is entered already answers with RuntimeError.
    """
    try:
        return context.run(coro.send, None)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def throw(context, coro, exc):
    """Raise `exc` where `coro` is suspended, inside `context`; the answer is `resume`'s."""
    try:
        return context.run(coro.throw, exc)
    except StopIteration as stop:
        return (StopIteration, stop.value)
    except BaseException as raised:
        return (BaseException, _without_our_frame(raised))
    finally:
        exc = None  # the frames of its traceback lead back to this one


def _without_our_frame(exc):
    if exc.__traceback__ is not None and exc.__traceback__.tb_next is not None:
        exc.__traceback__ = exc.__traceback__.tb_next
    return exc


def result_of(future):
    """The outcome of a future of whatever kind: one of the pairs."""
    try:
        return (StopIteration, future.result())
    except BaseException as exc:
        return (BaseException, _without_our_frame(exc))


def call(context, callback, args):
    """Call `callback(*args)` inside `context`."""
    return context.run(callback, *args)


def attempt(context, callback, args):
    """Call `callback(*args)` inside `context`; return None, or the exception it raised."""
    try:
        context.run(callback, *args)
    except BaseException as exc:
        return _without_our_frame(exc)


def call_one(context, callback, arg):
    """Call `callback(arg)` inside `context`."""
    return context.run(callback, arg)


copy_context = contextvars.copy_context


def snapshot():
    """A context with the variables as they are now, for `private_copy`: nobody may run anything in it.

    Compiled, all who ask while no variable changes get the same one. Interpreted, each gets one of its own.
    """
    return contextvars.copy_context()


def private_copy(snapshot):
    """A context with the variables of a snapshot, in which one may run; in use as long as anybody holds it."""
    return snapshot


def forget_contexts():
    """Let go of the last snapshot and private copy, if they keep the value of any variable alive."""


def call_method(context, target, name, arg):
    """Call `target.name(arg)` inside `context`."""
    return context.run(getattr(target, name), arg)


# --- The collector of cycles ------------------------------------------------------------------
#
# Interpreted, everything stays visible to it.


def untrack(obj):
    """Hide `obj`, which nobody else holds, from the cycle collector."""


def track(obj):
    """Show `obj` to the collector again. None is left alone."""


def is_shared(obj):
    """Whether anybody but the caller's variable holds `obj`, and it may have to be shown. Interpreted: False."""
    return False


# --- Memory ---------------------------------------------------------------------------------------


def keep_memory(kind, hidden=False):
    """Let the class `kind` keep the memory of objects that went for those that come; its subclasses do not.

    If `hidden`, the collector of cycles sees a new object only after `track`. Interpreted, and without the global
    lock, nothing is kept or hidden.
    """


def drop_empty_dict(obj):
    """Do away with an attribute dictionary in which nothing is; one is made when an attribute is set."""


def declare(kind, name):
    """Let the field `name` of the class `kind` be None to begin with; compiled, a field of C is so by nature."""
    setattr(kind, name, None)


# --- Lists --------------------------------------------------------------------------------------


def take(entries, index):
    """Return `entries[index]`, and leave None in its place."""
    entry = entries[index]
    entries[index] = None
    return entry


def clear(entries):
    """Empty a list; compiled, it keeps its memory for what comes next."""
    entries.clear()


get_ident = threading.get_ident

# --- Time ---------------------------------------------------------------------------------------

monotonic = time.monotonic


def seconds(number):
    """Return a number as a float. TypeError for what cannot be added to one."""
    return 0.0 + number


# --- References ---------------------------------------------------------------------------------


def is_unshared(obj):
    """Whether the caller's variable is the only reference there is to `obj`. Interpreted, nobody can tell: False."""
    return False


# --- The kernel's readiness ---------------------------------------------------------------------


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
        readable, _, _ = _select([fd], (), (), timeout)
        if not readable:
            return 0
        timeout = 0
    buffer[:] = epoll.poll(timeout if timeout >= 0 else None)
    return len(buffer)


def event_fd(buffer, index):
    """The descriptor of the event at `index`."""
    return buffer[index][0]


def event_bits(buffer, index):
    """The kernel's event bits of the event at `index`."""
    return buffer[index][1]


try:
    from select import select as _select
except ImportError:  # a platform without select has no epoll either
    _select = None


# --- Bytes ----------------------------------------------------------------------------------------


class _ReadBuffer(threading.local):
    def __init__(self, size):
        self.memory = memoryview(bytearray(size))


def read_buffer(size):
    """Memory of `size` bytes into which anybody may read, as nobody keeps anything there.

    Interpreted, each thread has its own: another one may run between reading and taking away.
    """
    return _ReadBuffer(size)


def read(fd, buffer, size):
    """Read at most `size` bytes from a non-blocking descriptor.

    They pass through `buffer` if they fit there. Returns b"" at the end of the stream, None if
    nothing is there yet; OSError as the system says.
    """
    try:
        memory = buffer.memory
        if size > len(memory):
            return os.read(fd, size)
        return memory[: os.readv(fd, (memory,))].tobytes()
    except (BlockingIOError, InterruptedError):
        return None


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


def read_into(fd, buffer):
    """Read into `buffer`, a writable bytes-like object; the count, 0 at the end, -1 if nothing is there."""
    try:
        return os.readv(fd, (buffer,))
    except (BlockingIOError, InterruptedError):
        return -1


def write(fd, chunks, skip, most):
    """Write the first `most` of `chunks` (a list of bytes), less `skip` bytes of the first one.

    Returns how many bytes the descriptor took, -1 if it takes none now; OSError as the system says.
    """
    try:
        if skip:
            return os.writev(fd, [memoryview(chunks[0])[skip:], *chunks[1:most]])
        if len(chunks) == 1:
            return os.write(fd, chunks[0])
        return os.writev(fd, chunks[:most])
    except (BlockingIOError, InterruptedError):
        return -1


def find(data, part, start):
    """Where `part` (bytes, not empty) stands in `data` (bytes or bytearray) at or after `start`; -1 if nowhere."""
    return data.find(part, start)


def cut(data, start, end):
    """The bytes of `data` (bytes or bytearray) from `start` to before `end`, as a new bytes."""
    return bytes(data[start:end])


def set_nodelay(sock, fd):
    """Send small segments at once (TCP_NODELAY); sockets that are not TCP stay as they are."""
    if sock.type == socket.SOCK_STREAM and sock.proto in (0, socket.IPPROTO_TCP):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass
