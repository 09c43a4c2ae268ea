"""Waker: what wakes a sleeping poller from another thread or from a signal.

A socket pair: whoever wants the loop's attention writes a byte into one end, and the poller
watches the other. A zero byte means "look at the callbacks from other threads"; any other byte is
the number of a signal, written by the interpreter itself (`signal.set_wakeup_fd`); in a storm of them there may
be no room, and then `signal_came` keeps the number.

Compiled, where the poller tells of changes and the system has eventfds, threads get a quicker bell as soon as the
first has rung: a counter that each of them raises and nobody reads. Sending and receiving that byte takes 2.5 us,
raising the counter 0.7. The interpreter cannot ring it for signals, as it takes eight bytes at a time.

Law: `notify` may be called from any thread and from a signal handler; the rest belongs to the
loop's thread. Many notifications before one drain cost one write, and none while the loop is awake.
"""

import os
import socket
from io import FileIO

from . import native, own_calls
from .handles import Watcher
from .pollers.base import EDGE, READABLE

_ONE = (1).to_bytes(8, "little")  # what raises a counter; however often, it takes centuries to be full


class Waker(Watcher):
    """The loop's bell."""

    def __init__(self, on_signals, poller=None):
        self._interest = 0
        self._poller = poller  # of whom the counter may be watched, until it is; else None
        self._counter = None  # the file of an eventfd, once there is one
        self._counts = False  # True iff that is watched, and threads are to ring by it
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._on_signals = on_signals  # called with the bytes that are not zero, if there are any
        self._wanted = True  # False while the loop will look for callbacks from other threads without being woken
        self._notified = False  # True iff a zero byte is on its way
        self._unwritten = set()  # numbers of signals for which there was no room

    def fileno(self):
        """The descriptor for `signal.set_wakeup_fd`."""
        return self._writer.fileno()

    def watched_fileno(self):
        """The descriptor that the poller watches."""
        return self._reader.fileno()

    def notify(self):
        """Wake the poller, if it sleeps or is about to."""
        self._notify()

    def _notify(self):
        if not self._wanted:
            return
        if self._counts:
            # Order: a loop that sets it again now looks at what came once more, before it sleeps.
            self._wanted = False
            try:
                self._counter.write(_ONE)
                return
            except (OSError, ValueError):
                pass  # a sandbox came over it, or the loop was closed meanwhile
        if self._notified:
            return
        self._notified = True
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            pass  # full: then it is awake already
        except OSError:
            self._write()

    def signal_came(self, number):
        """Called by a signal's handler, after the interpreter wrote the number, or found no room for it."""
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            self._unwritten.add(number)
        except OSError:
            if not self._write():
                self._unwritten.add(number)

    def _write(self):
        """Ring where sending failed: a sandbox may deny that, and allow writing. Return False if there is no room."""
        fd = self._writer.fileno()
        if fd < 0:
            return True  # closed: nobody is left to be woken
        try:
            own_calls.write(fd, b"\0")
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def drain(self):
        """Take in what was written, and hand the signals on."""
        # Order: first read, then forget the notification, then (the loop does it) look at what came from
        # other threads. Forgotten before, a notification during the read would lose its byte and be
        # believed to be on its way for ever.
        try:
            data = self._take()
        except (BlockingIOError, InterruptedError):
            return
        finally:
            self._notified = False
        numbers = data.replace(b"\0", b"")
        if self._poller is not None and len(numbers) < len(data):
            self._hang_counter()
        if self._unwritten:
            unwritten = self._unwritten
            self._unwritten = set()
            # asyncio: signals that come faster than they are handled fall together.
            numbers += bytes([number for number in unwritten if number not in numbers])
        if numbers:
            self._on_signals(numbers)

    def _take(self):
        try:
            return self._reader.recv(4096)
        except PermissionError:  # the sandbox again
            return own_calls.read(self._reader.fileno(), 4096)

    def _on_ready(self, events):
        self.drain()

    def _hang_counter(self):
        """From now on threads ring by a counter, if it can be had."""
        poller = self._poller
        self._poller = None
        # Code of C is not interrupted between here and there, and leaves no file lying about.
        if not native.COMPILED or own_calls.eventfd is None or not poller.tells_changes:
            return
        try:
            self._counter = FileIO(own_calls.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), "w")
            self._counter.write(_ONE)
            # Order: nobody rings what is not watched.
            poller.add(self._counter.fileno(), _Rung(), READABLE | EDGE)
            self._counts = True
        except OSError:
            pass  # no descriptors are left, or a sandbox denies it

    def leave(self, poller):
        """Have the poller watch nothing of this any more."""
        # Order: the collector may have come to them first.
        if self._reader.fileno() >= 0:
            poller.remove(self._reader.fileno())
        if self._counter is not None and not self._counter.closed:
            poller.remove(self._counter.fileno())

    def close(self):
        """Close all that can be rung, and let go of the loop, which refers to this."""
        self._on_signals = None
        self._poller = None
        self._counts = False
        self._reader.close()
        self._writer.close()
        if self._counter is not None:
            self._counter.close()


class _Rung(Watcher):
    """Watches the counter. All there is to do is that the poller has woken."""

    def __init__(self):
        self._interest = 0

    def _on_ready(self, events):
        pass
