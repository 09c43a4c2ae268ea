"""Descriptors: what a loop watches, and who is told.

`add_reader` and `add_writer` keep a pair of callbacks for each descriptor, a watcher as a transport is one, and refuse
the descriptors that a transport owns. `Loop` adds the turn to it.
"""

import errno
import weakref

from . import reports
from .handles import Handle, Watcher
from .pollers.base import READABLE, WRITABLE, descriptor
from .pulse import Pulse


class Descriptors(Pulse):
    """The part of a `Loop` that watches."""

    def __init__(self, poller):
        super().__init__()
        self._upcoming = []  # Runnables that run in the next turn, in order
        self._incoming = []  # handles from other threads: they append, the loop takes from the front
        self._poller = poller
        self._transports = {}  # {descriptor: weak reference to the transport that owns it}
        self._callbacks = {}  # {descriptor: what add_reader and add_writer keep}
        self._displaced_files = {}  # {descriptor: objects registered by that number before somebody else got it}
        self._waits = {}  # {descriptor: what the sock_* methods keep of a socket}
        self._read_memory = None  # what transports read into; like the next two made with the first that asks for it
        self._wait_memory = None  # the same for the sock_* methods
        self._tls_memory = None  # the same for TLS
        self._ring = None  # what the loop does is recorded there, or None
        self._closed = False
        self._debug = False

    def __getstate__(self):
        # A copy would close what the other uses.
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def add_reader(self, fd, callback, *args):
        """Call `callback(*args)` in each turn in which `fd` (or its `fileno()`) is readable.

        It takes the place of an earlier reader. RuntimeError if a transport uses the descriptor.
        """
        number = self._unclaimed(fd)
        self._add_reader(number, callback, *args)
        self._callbacks_of(number)._reader_file = None if fd is number else fd

    def remove_reader(self, fd):
        """Stop calling the reader of `fd`, which may be a file closed by now; return True if there was one."""
        return self._remove_reader(self._registered(fd))

    def add_writer(self, fd, callback, *args):
        """Call `callback(*args)` in each turn in which `fd` (or its `fileno()`) is writable."""
        number = self._unclaimed(fd)
        self._add_writer(number, callback, *args)
        self._callbacks_of(number)._writer_file = None if fd is number else fd

    def remove_writer(self, fd):
        """Stop calling the writer of `fd`, which may be a file closed by now; return True if there was one."""
        return self._remove_writer(self._registered(fd))

    # `owner` is the transport that asks, which hears when somebody else watches its number. What it asked for is then
    # the other's, and `gone` it takes nothing of that away.

    def _add_reader(self, fd, callback, *args, context=None, owner=None):
        handle = self._new_handle(callback, args, context)
        self._callbacks_of(fd)._set_reader(handle, owner)
        return handle

    def _add_writer(self, fd, callback, *args, context=None, owner=None):
        handle = self._new_handle(callback, args, context)
        self._callbacks_of(fd)._set_writer(handle, owner)
        return handle

    def _remove_reader(self, fd, gone=None):
        callbacks = self._callbacks.get(fd)
        if callbacks is None or self._closed or (gone is not None and callbacks._reader_owner is not gone):
            return False
        return callbacks._set_reader(None)

    def _remove_writer(self, fd, gone=None):
        callbacks = self._callbacks.get(fd)
        if callbacks is None or self._closed or (gone is not None and callbacks._writer_owner is not gone):
            return False
        return callbacks._set_writer(None)

    def _new_handle(self, callback, args, context):
        self._check_closed()
        handle = Handle(callback, args, self, context)
        if self._debug:
            handle._source_traceback = reports.callers_stack()
        return handle

    def _callbacks_of(self, fd):
        callbacks = self._callbacks.get(fd)
        if callbacks is None:
            callbacks = Callbacks(self, fd)
        return callbacks

    def _watch(self, fd, watcher, interest):
        """Ask the poller for `interest` in `fd` on behalf of `watcher`; 0 asks for nothing."""
        if interest == watcher._interest:
            return
        if interest == 0:
            self._poller._remove(fd)
        elif watcher._interest == 0:
            self._poller._add(fd, watcher, interest)
        else:
            try:
                self._poller._modify(fd, watcher, interest)
            except OSError as exc:
                # Less may be asked of what was closed behind our back, and more may not.
                if exc.errno != errno.EBADF or interest & ~watcher._interest:
                    raise
        watcher._interest = interest

    def _unwatch(self, fd, watcher):
        """Ask for nothing more on behalf of `watcher`."""
        if not self._closed:
            self._watch(fd, watcher, 0)

    def _claim(self, fd, transport):
        """Note that `transport` owns the descriptor, so that nobody else adds callbacks to it."""
        self._transports[fd] = weakref.ref(transport)

    def _disclaim(self, fd, transport):
        reference = self._transports.get(fd)
        if reference is not None and reference() is transport:  # else the number is in use again
            del self._transports[fd]

    def _unclaimed(self, fileobj):
        """The descriptor of `fileobj`. RuntimeError if a transport that is not closing owns it.

        A transport whose socket the program closed owns nothing, and ends.
        """
        fd = descriptor(fileobj)
        reference = self._transports.get(fd)
        transport = None if reference is None else reference()
        if transport is not None and not transport.is_closing() and not transport._end_if_gone():
            raise RuntimeError(f"File descriptor {fd!r} is used by transport {transport!r}")
        return fd

    def _registered(self, fileobj):
        """`_unclaimed`, also for a file that was registered and is closed: then the descriptor that it had.

        -1 if somebody else has the number by now. ValueError if it was never registered.
        """
        try:
            return self._unclaimed(fileobj)
        except ValueError:
            for fd, callbacks in self._callbacks.items():
                if callbacks._reader_file is fileobj or callbacks._writer_file is fileobj:
                    return fd
            if any(file is fileobj for files in self._displaced_files.values() for file in files):
                return -1
            raise

    def _accept_incoming(self):
        """Make ready what other threads asked for."""
        incoming = self._incoming
        count = len(incoming)
        # Order: nothing is called between these two, so no interrupt comes between them.
        self._upcoming += incoming[:count]
        del incoming[:count]
        if self._ring is not None and count:
            self._ring._incoming(count)

    def is_closed(self):
        """Return True if the loop was closed."""
        return self._closed

    def _check_closed(self):
        if self._closed:
            raise RuntimeError("Event loop is closed")


class Callbacks(Watcher):
    """What `add_reader` and `add_writer` keep of one descriptor."""

    def __init__(self, loop, fd):
        self._loop = loop
        self._fd = fd
        self._reader = self._writer = None  # Handle, or None
        self._reader_file = self._writer_file = None  # what they were asked for by, if that was no number
        self._reader_owner = self._writer_owner = None  # the transport of a pipe that asked for them, or None
        self._interest = 0

    def _set_reader(self, handle, owner=None):
        """Make `handle` the reader (None: no reader); return True if there was one."""
        previous = self._reader
        owners = self._owners()
        self._update(handle, self._writer)
        self._reader_owner = owner
        self._replaced(previous, handle, owners)
        return previous is not None

    def _set_writer(self, handle, owner=None):
        previous = self._writer
        owners = self._owners()
        self._update(self._reader, handle)
        self._writer_owner = owner
        self._replaced(previous, handle, owners)
        return previous is not None

    def _replaced(self, previous, handle, owners):
        if previous is not None:
            previous._cancel()
        if handle is not None:
            for owner in owners:
                owner._end_if_gone()

    def _update(self, reader, writer):
        interest = (READABLE if reader is not None else 0) | (WRITABLE if writer is not None else 0)
        # Order: the poller may refuse the descriptor; then nothing has changed.
        if interest and interest == self._interest:
            # Asked again: the descriptor may have been closed behind our back, and its number be in use again.
            self._loop._poller.modify(self._fd, self, interest)
        else:
            self._loop._watch(self._fd, self, interest)
        self._reader = reader
        self._writer = writer
        if reader is None:
            self._reader_file = None
        if writer is None:
            self._writer_file = None
        if interest:
            self._loop._callbacks[self._fd] = self
        else:
            self._loop._callbacks.pop(self._fd, None)

    def _files(self):
        """What was registered by an object, and not by its number."""
        return [file for file in (self._reader_file, self._writer_file) if file is not None]

    def _owners(self):
        return [owner for owner in (self._reader_owner, self._writer_owner) if owner is not None]

    def _displaced(self):
        self._interest = 0
        self._loop._callbacks.pop(self._fd, None)
        if self._files():
            self._loop._displaced_files[self._fd] = self._files()
        for handle in (self._reader, self._writer):
            if handle is not None:
                handle._cancel()
        self._reader = self._writer = None
        owners = self._owners()
        self._reader_owner = self._writer_owner = None
        for owner in owners:
            owner._end_if_gone()

    def _on_ready(self, events):
        if self._loop._incoming:
            self._loop._accept_incoming()  # asyncio: what another thread asked for before goes first
        if events & READABLE and self._reader is not None:
            self._loop._upcoming.append(self._reader)
        if events & WRITABLE and self._writer is not None:
            self._loop._upcoming.append(self._writer)
