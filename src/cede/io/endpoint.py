"""Endpoint: what pipes and datagram sockets have beyond other transports: what waits is counted in bytes."""

import io
import warnings

from ..engine import syscalls
from .channel import OPEN, Channel
from .write_buffer import HIGH_WATER, limits, whole


class Endpoint(Channel):
    """A pipe or datagram socket, its protocol and flow control."""

    def _init(self, loop, file, protocol, extra, context):
        self._set_up(loop, file.fileno(), {} if extra is None else extra, context)
        self._set_file(file)
        self._protocol = protocol
        self._waiting = 0  # bytes that wait to be sent, as flow control counts them
        self._high = HIGH_WATER  # above this many the protocol is asked to pause
        self._low = HIGH_WATER // 4  # at this many or fewer it may go on
        self._marks = (self._low, self._high)  # the same as they were given

    def _set_file(self, file):
        self._file = file  # the socket or pipe; ours to close
        self._keeper = _keeper_of(file)  # what knows its number

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
        return self._facts.get(name, default)

    def set_protocol(self, protocol):
        """Have `protocol` called from now on."""
        self._protocol = protocol

    def _is_gone(self):
        try:
            return self._keeper is not None and syscalls.number_of(self._keeper) != self._fd
        except Exception:  # what a file says that is closed
            return True

    # --- Flow control -----------------------------------------------------------------------------

    def _set_limits(self, high, low):
        high, low = limits(high, low, HIGH_WATER)
        self._marks = (low, high)
        self._high = whole(high)
        self._low = whole(low)
        self._maybe_pause_protocol()

    def _maybe_pause_protocol(self):
        if self._waiting > self._high and not self._protocol_paused:
            self._protocol_paused = True
            self._call_flow_control("pause_writing")

    def _maybe_resume_protocol(self):
        if self._protocol_paused and self._waiting <= self._low:
            self._protocol_paused = False
            self._call_flow_control("resume_writing")

    # --- The end ----------------------------------------------------------------------------------

    def _drop_waiting(self):
        self._waiting = 0

    def _release(self):
        self._close_file()
        self._protocol = None

    def _close_file(self):
        if self._file is not None:  # else the program took it
            self._file.close()

    def _abandoned(self):
        """What each subclass calls in its `__del__`, which compiled classes do not inherit."""
        if self._connected and self._file is not None and not self._is_gone():
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._file.close()


def _keeper_of(file):
    """The innermost file of a buffered or decoding one, which is asked cheaply; it is closed when that is."""
    if type(file) is io.TextIOWrapper:
        file = file.buffer
    if type(file) in (io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
        file = file.raw
    return file
