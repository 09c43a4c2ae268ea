"""SimulatedSocket: a `socket.socket` whose descriptor belongs to the kernel of a simulated host.

It is a subclass, so that `isinstance` holds, and it never calls the methods of C below: the object of C has no
descriptor. A socket belongs to the host it was made on, whoever calls it later; after its world it is inert.

Non-blocking calls go straight to the kernel. A blocking one, or one with a timeout, lets the world go on until the
kernel has an answer; time is the host's.
"""

from __future__ import annotations

import _socket
import array
import errno
import socket
import warnings
from typing import Any

from . import addresses, current
from .files import BOTH, HUP, IN, OUT, RECEIVE, SEND, SIMULATED, error
from .options import get_option, set_option

_real_getdefaulttimeout = socket.getdefaulttimeout
_MOST_GATHERED = 1 << 20  # bytes; more than any buffer holds
FLAGS = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
# Plain numbers: the socket module's are of an enum, whose `&` takes longer than all else that a call does here.
_PEEK, _WAIT_ALL, _DO_NOT_WAIT = int(socket.MSG_PEEK), int(socket.MSG_WAITALL), int(socket.MSG_DONTWAIT)
_HOW = {socket.SHUT_RD: RECEIVE, socket.SHUT_WR: SEND, socket.SHUT_RDWR: BOTH}


class SimulatedSocket(socket.socket):
    """A socket of the host on whose behalf the calling thread runs; arguments as `socket.socket`."""

    __slots__ = ("_fd", "_file", "_kernel", "_proto", "_seconds", "_table")

    def __new__(cls, *args: Any, **kwargs: Any) -> SimulatedSocket:
        return _socket.socket.__new__(cls)  # and no `__init__` of C follows

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:
        kernel = _kernel()
        if fileno is not None:
            self._adopt(kernel, kernel.descriptors.file(fileno), fileno)
            return
        family = socket.AF_INET if family == -1 else family
        type = socket.SOCK_STREAM if type == -1 else type
        proto = 0 if proto == -1 else proto
        file = kernel.socket(family, type & ~FLAGS, proto)
        self._adopt(kernel, file, kernel.descriptors.open(file), proto)
        if type & getattr(socket, "SOCK_NONBLOCK", 0):
            self.setblocking(False)

    def _adopt(self, kernel: Any, file: Any, fd: int, proto: int = 0) -> None:
        self._io_refs = 0
        self._closed = False
        self._kernel = kernel
        self._table = kernel.descriptors  # its program's: none of it is left when that was killed
        self._file = file
        self._fd = fd
        self._proto = proto
        self._seconds = _real_getdefaulttimeout()

    @classmethod
    def of(cls, kernel: Any, file: Any) -> SimulatedSocket:
        """A socket object, with a new descriptor, for a file of the kernel."""
        sock = cls.__new__(cls)
        sock._adopt(kernel, file, kernel.descriptors.open(file))
        return sock

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0 and not self._table.dead:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
            self._real_close()

    # --- What it is -------------------------------------------------------------------------------

    @property
    def family(self) -> Any:
        return socket.AddressFamily(self._file.family)

    @property
    def type(self) -> Any:
        return socket.SocketKind(self._file.type)

    @property
    def proto(self) -> int:
        return self._proto

    @property
    def timeout(self) -> float | None:
        return self._seconds

    def fileno(self) -> int:
        return -1 if self._table.dead else self._fd

    def get_inheritable(self) -> bool:
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        pass

    def settimeout(self, value: Any) -> None:
        if value is not None:
            value = float(value)
            if value < 0:
                raise ValueError("Timeout value out of range")
        self._seconds = value
        self._file.nonblocking = value is not None

    def gettimeout(self) -> float | None:
        return self._seconds

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        return self._seconds != 0.0

    def getsockname(self) -> Any:
        self._check()
        return addresses.shown(self._file.family, self._file.name())

    def getpeername(self) -> Any:
        self._check()
        return addresses.shown(self._file.family, self._file.peer())

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> Any:
        self._check()
        return get_option(self._file, level, option, buflen)

    def setsockopt(self, level: int, option: int, value: Any, optlen: int | None = None) -> None:
        self._check()
        set_option(self._file, level, option, optlen if value is None else value)

    # --- Waiting ----------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._fd < 0 or self._table.dead:
            raise error(errno.EBADF)

    def _perform(self, bits: int, flags: int, operation: Any, *args: Any) -> Any:
        """Call the kernel; again when the file is ready for `bits`, if this socket blocks."""
        self._check()
        deadline = None
        while True:
            try:
                return operation(*args)
            except BlockingIOError:
                if self._seconds == 0.0 or flags & _DO_NOT_WAIT:
                    raise
            if deadline is None and self._seconds is not None:
                deadline = self._kernel.host.now + self._seconds
            self._wait(bits, deadline)

    def _wait(self, bits: int, deadline: float | None) -> None:
        if not self._kernel.wait(self._file, bits, deadline):
            raise TimeoutError("timed out")
        self._check()

    # --- Connecting -------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        self._check()
        self._kernel.bind(self._file, addresses.parsed(self._kernel, self._file.family, address, "bind"))

    def listen(self, backlog: int = 128) -> None:
        self._check()
        self._file.listen(max(backlog, 0))

    def _accept(self) -> tuple[int, Any]:
        sock, address = self.accept()
        return sock.detach(), address

    def accept(self) -> tuple[SimulatedSocket, Any]:
        file = self._perform(IN, 0, self._file.accept)
        sock = SimulatedSocket.of(self._kernel, file)
        sock._proto = self._proto
        try:
            peer = addresses.shown(file.family, file.remote if file.family != socket.AF_UNIX else file.peer())
        except BaseException:
            sock.close()
            raise
        return sock, peer

    def connect(self, address: Any) -> None:
        self._check()
        where = addresses.parsed(self._kernel, self._file.family, address, "connect")
        try:
            self._file.connect(where)
        except BlockingIOError as exc:
            if self._seconds == 0.0 or exc.errno == errno.EALREADY:
                raise
            deadline = None if self._seconds is None else self._kernel.host.now + self._seconds
            if exc.errno == errno.EAGAIN:
                self._connect_to_full(where, deadline)
                return
            self._wait(OUT | HUP, deadline)
            number = self._file.take_error()
            if number:
                raise error(number) from None

    def _connect_to_full(self, where: Any, deadline: float | None) -> None:
        """A unix listener has no room: nothing tells of it, so look again."""
        while True:
            if not self._kernel.pause(0.001, deadline):
                raise TimeoutError("timed out")
            try:
                self._file.connect(where)
                return
            except BlockingIOError:
                continue

    def connect_ex(self, address: Any) -> int:
        try:
            self.connect(address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as exc:
            if exc.errno is None:
                raise
            return exc.errno
        return 0

    # --- Receiving --------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not bufsize:
            return b""  # the interpreter asks no kernel for nothing
        if flags & _WAIT_ALL and self._file.type == socket.SOCK_STREAM:
            return self._receive_all(bufsize, flags)
        return bytes(self._perform(IN, flags, self._file.receive, bufsize, bool(flags & _PEEK)))

    def _receive_all(self, size: int, flags: int) -> bytes:
        parts: list[bytes] = []
        while size:
            try:
                part = self._perform(IN, flags, self._file.receive, size)
            except OSError:
                if parts:
                    break
                raise
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        with memoryview(buffer).cast("B") as view:
            size = _checked_size(nbytes, len(view), "recv_into")
            data = self.recv(size, flags)
            view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        data, source = self._perform(IN, flags, self._file.receive_from, bufsize, bool(flags & _PEEK))
        return data, addresses.shown(self._file.family, source)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        with memoryview(buffer).cast("B") as view:
            size = _checked_size(nbytes, len(view), "recvfrom_into")
            data, source = self.recvfrom(size, flags)
            view[: len(data)] = data
        return len(data), source

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        receive = getattr(self._file, "receive_with_files", None)
        if receive is None:
            data, source = self.recvfrom(bufsize, flags)
            return data, [], 0, source
        data, source, files = self._perform(IN, flags, receive, bufsize, bool(flags & _PEEK))
        told, cut = self._ancillary(files, ancbufsize)
        return data, told, cut, addresses.shown(self._file.family, source)

    def _ancillary(self, files: list[Any], space: int) -> tuple[list[Any], int]:
        """Give the files that came descriptors, as many as there is space for."""
        width = array.array("i").itemsize
        room = max(0, space - socket.CMSG_LEN(0)) // width
        numbers = array.array("i", [self._table.open(file) for file in files[:room]])
        self._kernel.let_go(files)
        told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers.tobytes())] if numbers else []
        return told, int(socket.MSG_CTRUNC) if len(files) > room else 0

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, told, cut, source = self.recvmsg(sum(map(len, views)), ancbufsize, flags)
        rest = data
        for view in views:
            count = min(len(view), len(rest))
            view[:count], rest = rest[:count], rest[count:]
        return len(data), told, cut, source

    # --- Sending ----------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0) -> int:
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        sent = int(self._perform(OUT, flags, self._file.send, data))
        if self._seconds is None and sent < len(data) and not flags & _DO_NOT_WAIT:
            # As a call that blocks does it: the rest too, unless an error comes between.
            view = memoryview(data)
            while sent < len(data):
                try:
                    sent += int(self._perform(OUT, flags, self._file.send, view[sent:]))
                except OSError:
                    break
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        with memoryview(data).cast("B") as view:
            sent = 0
            while True:
                sent += self.send(view[sent:], flags)
                if sent >= len(view):
                    return

    def sendto(self, data: Any, *args: Any) -> int:
        if not 1 <= len(args) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(args)} given)")
        flags = args[0] if len(args) == 2 else 0
        self._check()
        where = addresses.parsed(self._kernel, self._file.family, args[-1], "sendto")
        if self._file.type == socket.SOCK_STREAM and self._file.family != socket.AF_UNIX:
            where = None  # TCP does not look at it
        return int(self._perform(OUT, flags, self._file.send, memoryview(data).cast("B"), where))

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        self._check()
        data = gathered(buffers, self._file.type != socket.SOCK_STREAM)
        where = None if address is None else addresses.parsed(self._kernel, self._file.family, address, "sendmsg")
        files = [
            self._table.file(number)
            for level, kind, packed in ancdata
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            for number in array.array("i", bytes(packed))
        ]
        if files:
            return int(self._perform(OUT, flags, self._file.send, data, where, files))
        return int(self._perform(OUT, flags, self._file.send, data, where))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return int(getattr(self, "_sendfile_use_send")(file, offset, count))  # noqa: B009

    # --- The end ----------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        self._check()
        if how not in _HOW:
            raise error(errno.EINVAL)
        self._file.shutdown(_HOW[how])

    def _real_close(self, _ss: Any = None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._table.dead and self._table.get(fd) is self._file:
            self._table.close(fd)

    def detach(self) -> int:
        self._closed = True
        fd, self._fd = self._fd, -1
        return fd

    def dup(self) -> SimulatedSocket:
        self._check()
        other = SimulatedSocket.of(self._kernel, self._file)
        other._proto = self._proto
        other._seconds = self._seconds
        return other


def gathered(buffers: Any, whole: bool) -> Any:
    """The bytes of several buffers; of a stream's no more than it could take anyway, unless `whole`."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    if len(views) == 1:
        return views[0]
    parts: list[Any] = []
    left = sum(map(len, views)) if whole else _MOST_GATHERED
    for view in views:
        if left <= 0:
            break
        parts.append(view[:left])
        left -= len(view)
    return b"".join(parts)


def _checked_size(size: int, most: int, what: str) -> int:
    if size < 0:
        raise ValueError(f"negative buffersize in {what}")
    if size > most:
        raise ValueError("buffer too small for requested bytes")
    return size or most


def _kernel() -> Any:
    host = current.host()
    if host is None:
        raise RuntimeError("a simulated socket is made on a host of a world; this thread is outside of any")
    return host.kernel


def is_simulated(fileno: Any) -> bool:
    """Whether a descriptor belongs to a simulated kernel."""
    return type(fileno) is int and fileno >= SIMULATED
