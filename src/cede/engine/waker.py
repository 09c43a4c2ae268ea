"""Waker: what wakes a sleeping poller from another thread or from a signal.

A socket pair: whoever wants the loop's attention writes a byte into one end, and the poller
watches the other. A zero byte means "look at the callbacks from other threads"; any other byte is
the number of a signal, written by the interpreter itself (`signal.set_wakeup_fd`); in a storm of them there may
be no room, and then `signal_came` keeps the number.

Law: `notify` may be called from any thread and from a signal handler; the rest belongs to the
loop's thread. Many notifications before one drain cost one write, and none while the loop is awake.
"""

import socket

from . import own_calls
from .handles import Watcher


class Waker(Watcher):
    """The loop's bell."""

    def __init__(self, on_signals):
        self._interest = 0
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
        if self._notified or not self._wanted:
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

    def close(self):
        """Close both ends, and let go of the loop, which refers to this."""
        self._on_signals = None
        self._reader.close()
        self._writer.close()
