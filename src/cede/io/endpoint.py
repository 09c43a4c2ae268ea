"""Endpoint: what pipes and datagram sockets have in common.

    state     entered by                         what then holds
    OPEN      creation                           it is watched unless paused; writes are taken
    CLOSING   close, with something to send yet  no more reading; what waits still goes
    LOST      nothing is left to send; abort;    nothing moves; `connection_lost` is called in the
              a fatal error                      next turn, once, and then the file is closed

    OPEN -> CLOSING -> LOST;  OPEN -> LOST

Law: `connection_made` comes first, `connection_lost` last, each once, and all calls of the protocol
run in the endpoint's context.
"""

import logging
import warnings

from ..engine import native
from ..engine.handles import Watcher
from .write_buffer import HIGH_WATER, limits

logger = logging.getLogger("asyncio")

OPEN = 0
CLOSING = 1
LOST = 2


class Endpoint(Watcher):
    """A descriptor, its protocol, flow control and the end."""

    def _init(self, loop, file, protocol, extra, context):
        native.drop_empty_dict(self)
        self._interest = 0
        self._loop = loop
        self._file = file  # the socket or pipe; ours to close
        self._fd = file.fileno()
        self._protocol = protocol
        self._extra = {} if extra is None else extra
        self._context = native.copy_context() if context is None else context
        self._state = OPEN
        self._connected = False  # True iff the protocol is owed a connection_lost
        self._paused = False  # True iff the protocol asked for no data
        self._protocol_paused = False  # True iff the protocol was told to pause writing
        self._writes_lost = 0  # writes since nothing can be sent any more
        self._waiting = 0  # bytes that wait to be sent, as flow control counts them
        self._high = HIGH_WATER  # above this many the protocol is asked to pause
        self._low = HIGH_WATER // 4  # at this many or fewer it may go on

    def _begin(self, waiter):
        """Have the protocol called, then the descriptor watched, then the waiter woken; each in the next turn."""
        self._connected = True
        self._loop.call_soon(self._protocol.connection_made, self, context=self._context)
        self._loop.call_soon(self._started, waiter, context=self._context)

    def _started(self, waiter):
        self._update_interest()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _update_interest(self):
        """Ask the poller for what this endpoint now waits for."""

    def __repr__(self):
        info = [type(self).__name__]
        if not self._connected:
            info.append("closed")
        elif self._state != OPEN:
            info.append("closing")
        info.append(f"fd={self._fd}")
        if self._state == OPEN:
            info.append("open")
        if self._waiting:
            info.append(f"bufsize={self._waiting}")
        return f"<{' '.join(info)}>"

    # --- What it is -------------------------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        """Return what is known under `name`, else `default`."""
        return self._extra.get(name, default)

    def get_protocol(self):
        """Return the protocol."""
        return self._protocol

    def set_protocol(self, protocol):
        """Have `protocol` called from now on."""
        self._protocol = protocol

    def is_closing(self):
        """Return True if the transport is closing or closed."""
        return self._state != OPEN

    # --- Reading ----------------------------------------------------------------------------------

    def _is_reading(self):
        return self._state == OPEN and not self._paused

    def _pause_reading(self):
        if self._is_reading():
            self._paused = True
            self._update_interest()
            if self._loop.get_debug():
                logger.debug("%r pauses reading", self)

    def _resume_reading(self):
        if self._state == OPEN and self._paused:
            self._paused = False
            self._update_interest()
            if self._loop.get_debug():
                logger.debug("%r resumes reading", self)

    # --- Flow control -----------------------------------------------------------------------------

    def _set_limits(self, high, low):
        high, low = limits(high, low, HIGH_WATER)
        self._high = high
        self._low = low
        self._maybe_pause_protocol()

    def _maybe_pause_protocol(self):
        if self._waiting > self._high and not self._protocol_paused:
            self._protocol_paused = True
            self._call_flow_control("pause_writing")

    def _maybe_resume_protocol(self):
        if self._protocol_paused and self._waiting <= self._low:
            self._protocol_paused = False
            self._call_flow_control("resume_writing")

    def _call_flow_control(self, name):
        try:
            getattr(self._protocol, name)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, f"protocol.{name}() failed")

    # --- Errors and the end -----------------------------------------------------------------------

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
        self._waiting = 0

    def _force_close(self, exc):
        if self._state != LOST:
            self._drop_waiting()
            self._lose(exc)

    def _lose(self, exc):
        """Enter LOST: nothing moves any more, and the protocol is told in the next turn."""
        self._state = LOST
        if not self._loop.is_closed():
            self._update_interest()
            self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def _call_connection_lost(self, exc):
        if not self._connected:
            return
        self._connected = False
        try:
            self._protocol.connection_lost(exc)
        finally:
            self._file.close()
            self._protocol = None

    def _abandoned(self):
        """What each subclass calls in its `__del__`, which compiled classes do not inherit."""
        if self._connected:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._file.close()
