"""Names to addresses: literals at once, the rest by `getaddrinfo` in threads of its own.

`getaddrinfo` has no non-blocking form, so a look-up occupies a thread until the resolver answers or
gives up, which may take half a minute. Two laws follow:

- A look-up that cannot block takes no thread: an address that is a literal, with or without a zone
  (`fe80::1%eth0`), and no host at all.
- Look-ups never share threads with the program's functions. In asyncio's default executor a few slow
  functions make every connection of the program time out; here only look-ups can delay look-ups.
  Their threads are daemons, so one that hangs in the C library does not keep the process from exiting.
"""

from __future__ import annotations

import concurrent.futures
import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.waited import RESOLVE
from .executor import wrap_future

logger = logging.getLogger("asyncio")

AddrInfo = tuple[Any, Any, int, str, Any]  # family, type, proto, canonical name, socket address

_NUMERIC_PROTOS = frozenset((0, socket.IPPROTO_TCP, socket.IPPROTO_UDP))
_PROTO_OF_TYPE = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}


# --- Addresses that need no look-up --------------------------------------------------------------


def literal(
    host: Any, port: Any, family: int, type: int, proto: int, flowinfo: int = 0, scopeid: int = 0
) -> AddrInfo | None:
    """Return the `getaddrinfo` entry of an address literal without a zone, or None if it is not one."""
    if host is None or proto not in _NUMERIC_PROTOS or type not in _PROTO_OF_TYPE:
        return None
    number = _port_number(port)
    if number is None:
        return None
    if isinstance(host, bytes):
        host = host.decode("idna")
    if "%" in host:
        return None
    families = (socket.AF_INET, socket.AF_INET6) if family == socket.AF_UNSPEC else (family,)
    for af in families:
        try:
            socket.inet_pton(af, host)
        except OSError:
            continue
        address = (host, number) if af != socket.AF_INET6 else (host, number, flowinfo, scopeid)
        return af, type, _PROTO_OF_TYPE[type], "", address
    return None


def is_literal(family: int, address: Any) -> bool:
    """True if a socket of `family` may be given `address` as it is: a literal without a zone, and a number."""
    host, port = address[:2]
    if type(host) is not str or type(port) is not int:
        return False
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True


def _port_number(port: Any) -> int | None:
    """The port as a number, None if it is the name of a service."""
    if port is None or port == "" or port == b"":
        return 0
    try:
        return int(port)
    except (TypeError, ValueError):
        return None


def _answered_at_once(host: Any, port: Any) -> bool:
    """True if the C library answers without asking anybody: no host, or a literal; and no service name."""
    if _port_number(port) is None:
        return False
    if host is None:
        return True
    if isinstance(host, bytes):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            return False
    if not isinstance(host, str):
        return True  # getaddrinfo says what is wrong with it
    address, _, zone = host.partition("%")
    for af in (socket.AF_INET6,) if zone else (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(af, address)
        except (OSError, ValueError):
            continue
        return True
    return False


# --- The threads ---------------------------------------------------------------------------------


class LookupThreads:
    """Daemon threads that call blocking functions: begun when all are busy, ended when idle or closed."""

    LIMIT = 32  # threads; a look-up beyond them waits
    IDLE = 5.0  # seconds without work after which a thread ends

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the three fields below
        self._threads: set[threading.Thread] = set()
        self._idle = 0  # threads that wait for work, less the work that waits for them
        self._closed = False

    def submit(self, func: Callable[..., Any], *args: Any) -> concurrent.futures.Future[Any]:
        """Call `func(*args)` in a thread."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("Event loop is closed")
            self._work.put((future, func, args))
            self._idle -= 1
            if self._idle < 0 and len(self._threads) < self.LIMIT:
                self._idle += 1
                thread = threading.Thread(target=self._serve, name="cede-lookup", daemon=True)
                self._threads.add(thread)
                thread.start()
        return future

    def _serve(self) -> None:
        while True:
            try:
                item = self._work.get(timeout=self.IDLE)
            except queue.Empty:
                with self._lock:
                    if not self._work.empty():
                        continue  # it came while we gave up
                    self._idle -= 1
                    self._threads.discard(threading.current_thread())
                    return
            if item is None:
                return
            self._call(*item)
            del item

    def _call(self, future: concurrent.futures.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        error = result = None
        wanted = future.set_running_or_notify_cancel()
        if wanted:
            try:
                result = func(*args)
            except BaseException as exc:
                error = exc
        # Order: first idle, then the answer: who closes us on hearing it must find us idle.
        with self._lock:
            self._idle += 1
        if error is not None:
            future.set_exception(error)
        elif wanted:
            future.set_result(result)
        del error, future  # both refer to the traceback, which refers to this frame

    def _take_back(self) -> Iterator[Any]:
        try:
            while True:
                yield self._work.get_nowait()
        except queue.Empty:
            pass

    def close(self) -> None:
        """Cancel the calls that wait and end the threads; only those that are busy just now outlive this."""
        with self._lock:
            self._closed = True
            for future, _, _ in self._take_back():
                future.cancel()
                self._idle += 1
            threads = list(self._threads)
            all_idle = self._idle == len(threads)
            for _ in threads:
                self._work.put(None)
        if all_idle:
            for thread in threads:
                thread.join()


def _in_thread(loop: Any, func: Callable[..., Any], *args: Any) -> Any:
    loop._check_closed()
    if loop._lookups is None:
        loop._lookups = LookupThreads()
    return wrap_future(loop, loop._lookups.submit(func, *args), RESOLVE)


# --- The loop's methods --------------------------------------------------------------------------


async def getaddrinfo(
    loop: Any, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[AddrInfo]:
    """`socket.getaddrinfo` without blocking the loop."""
    if loop._machine is not None:
        infos: list[AddrInfo] = await loop._machine.getaddrinfo(loop, host, port, family, type, proto, flags)
        return infos
    lookup = socket.getaddrinfo if not loop.get_debug() else _timed_getaddrinfo(loop)
    if _answered_at_once(host, port):
        if host is not None:
            flags |= socket.AI_NUMERICHOST
        return lookup(host, port, family, type, proto, flags)
    return await _in_thread(loop, lookup, host, port, family, type, proto, flags)


async def getnameinfo(loop: Any, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
    """`socket.getnameinfo` without blocking the loop."""
    if loop._machine is not None:
        return socket.getnameinfo(sockaddr, flags)  # the simulated one, which does not block
    return await _in_thread(loop, socket.getnameinfo, sockaddr, flags)


def _timed_getaddrinfo(loop: Any) -> Callable[..., list[AddrInfo]]:
    """`getaddrinfo` as debug mode wants it: it logs how long the look-up took."""

    def lookup(host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> list[AddrInfo]:
        what = [f"{host}:{port!r}"]
        for name, value in (("family", family), ("type", type), ("proto", proto), ("flags", flags)):
            if value:
                what.append(f"{name}={value!r}")
        text = ", ".join(what)
        logger.debug("Get address info %s", text)
        begun = loop.time()
        infos = socket.getaddrinfo(host, port, family, type, proto, flags)
        took = loop.time() - begun
        level = logging.INFO if took >= loop.slow_callback_duration else logging.DEBUG
        logger.log(level, "Getting address info %s took %.3fms: %r", text, took * 1e3, infos)
        return infos

    return lookup


async def resolve(
    loop: Any,
    address: Any,
    *,
    family: int = 0,
    type: int = socket.SOCK_STREAM,
    proto: int = 0,
    flags: int = 0,
    shown: str = "",
) -> list[AddrInfo]:
    """Return the entries for `(host, port, ...)`; OSError, which names the host as `shown`, if there are none.

    Look-ups go through `loop.getaddrinfo`, so that a loop which overrides it is asked.
    """
    host, port = address[:2]
    info = literal(host, port, family, type, proto, *address[2:])
    if info is not None:
        return [info]
    infos = await loop.getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
    if not infos:
        raise OSError(f"getaddrinfo({shown}) returned empty list")
    return infos
