"""Channel: what all transports have in common: a descriptor, the protocol that is called for it, and a state.

    state     entered by                         what then holds
    OPEN      creation                           it is watched unless paused; writes are taken
    CLOSING   close, with something to send yet  no more reading; what waits still goes
    LOST      nothing is left to send; abort;    nothing moves; `connection_lost` is called in the
              a fatal error                      next turn, once, and then the file is closed

    OPEN -> CLOSING -> LOST;  OPEN -> LOST

Law: `connection_made` comes first, `connection_lost` last, each once, and all calls of the protocol
run in the channel's context.
"""

import errno
import logging
import os

from ..engine import native, syscalls
from ..engine.handles import Watcher
from .stock_streams import keep_rest

logger = logging.getLogger("asyncio")

OPEN = 0
CLOSING = 1
LOST = 2

READ_SIZE = 64 * 1024  # bytes; the memory that all transports of a loop read into

_OPEN = OPEN
_LOST = LOST


class Channel(Watcher):
    """A descriptor, its protocol, and calling the one for the other."""

    def _set_up(self, loop, fd, extra, context):
        native.drop_empty_dict(self)
        self._interest = 0
        self._loop = loop
        if loop._read_memory is None:
            loop._read_memory = syscalls.read_buffer(READ_SIZE)
        self._fd = fd
        self._protocol = None
        self._facts = extra  # dict of what get_extra_info knows, or None
        self._context = native.copy_context() if context is None else context
        self._state = _OPEN
        self._connected = False  # True iff the protocol is owed a connection_lost
        self._paused = False  # True iff the protocol asked for no data
        self._protocol_paused = False  # True iff the protocol was told to pause writing
        self._writes_lost = 0  # writes since nothing can be sent any more

    def _begin(self, waiter):
        """Have the protocol called, then the descriptor watched, then the waiter woken; each in the next turn."""
        self._connected = True
        self._soon(self._protocol.connection_made, self)
        self._soon(self._started, waiter)

    def _soon(self, callback, argument):
        """Call it in the next turn, in the channel's context."""
        loop = self._loop
        if loop._direct:
            loop._call_soon(callback, (argument,), self._context)
        else:
            loop.call_soon(callback, argument, context=self._context)

    def _started(self, waiter):
        self._update_interest()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _update_interest(self):
        """Ask the poller for what this channel now waits for."""

    def get_protocol(self):
        """Return the protocol."""
        return self._protocol

    def is_closing(self):
        """Return True if the transport is closing or closed."""
        return self._state != _OPEN

    def _is_gone(self):
        """Whether the program closed or detached the file: somebody else may have the number."""
        return False

    def _end_if_gone(self):
        """End the connection if the file is gone, and return True then."""
        if not self._is_gone():
            return False
        self._force_close(bad_descriptor())
        return True

    # asyncio: names from inside of its transports, which programs use.

    @property
    def _sock_fd(self):
        return self._fd

    @property
    def _fileno(self):
        return self._fd

    @property
    def _extra(self):
        return self._facts

    @property
    def _closing(self):
        return self.is_closing()

    @property
    def _conn_lost(self):
        return self._writes_lost + (self._state == _LOST)

    # --- Reading ----------------------------------------------------------------------------------

    def _is_reading(self):
        return self._state == _OPEN and not self._paused

    def _pause_reading(self):
        if self._is_reading():
            self._paused = True
            self._update_interest()
            if self._loop.get_debug():
                logger.debug("%r pauses reading", self)

    def _resume_reading(self):
        if self._state == _OPEN and self._paused:
            self._paused = False
            self._update_interest()
            if self._loop.get_debug():
                logger.debug("%r resumes reading", self)

    # --- Errors and the end -----------------------------------------------------------------------

    def _call_flow_control(self, name):
        """Call the protocol's `pause_writing` or `resume_writing`; what it raises is only reported."""
        try:
            getattr(self._protocol, name)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, f"protocol.{name}() failed")

    def _report(self, exc, message):
        self._loop.call_exception_handler(
            {"message": message, "exception": exc, "transport": self, "protocol": self._protocol}
        )

    def _debug_error(self, exc, message):
        """An error of the other side, not of the program: for the log of debug mode only."""
        if self._loop.get_debug():
            logger.debug("%r: %s", self, message, exc_info=exc)

    def _drop_waiting(self):
        """Forget what waits to be sent."""

    def _forked(self):
        """Called in a forked child: what waits is the parent's to send."""
        self._drop_waiting()

    def _force_close(self, exc):
        if self._state != _LOST:
            self._drop_waiting()
            self._lose(exc)

    def _lose(self, exc):
        """Enter LOST: nothing moves any more, and the protocol is told in the next turn."""
        self._state = _LOST
        if self._loop._ring is not None:
            self._loop._ring._bytes(3 if exc is None else 4, self._fd, 0)
        if not self._loop.is_closed():
            self._update_interest()
            self._soon(self._call_connection_lost, exc)

    def _call_connection_lost(self, exc):
        if not self._connected:
            return
        self._connected = False
        try:
            if exc is not None:
                keep_rest(self._protocol)
            self._protocol.connection_lost(exc)
        finally:
            self._release()

    def _release(self):
        """Close the file, and let go of everything that refers here."""


def bad_descriptor():
    """What the system says of a number that is nobody's."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def asked(question):
    """What the system answers about an address, None if it has no answer."""
    try:
        return question()
    except OSError:
        return None


syscalls.learn_sockets()
