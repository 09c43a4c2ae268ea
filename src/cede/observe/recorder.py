"""The recorder: a ring for each loop, in a file that outlives the process, and copies of it for who wants to look.

Law: nothing here raises into the program but what it calls itself: `start` says at once what does not work.
"""

from __future__ import annotations

import atexit
import gc
import logging
import mmap
import os
import shutil
import signal
import stat
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._version import __version__
from ..engine import forks, reports
from ..engine.clock import Clock, ForeignClock
from ..engine.ring import Ring
from ..engine.running import _get_running_loop
from . import schema, stock_waits
from .folders import own_folder

_DEFAULT = 16 << 20  # bytes
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30}
# Each page of it is there from the start: else the first round of a ring costs twice as much.
_MAPPED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
_KEPT = 5  # rings of dead processes
_KEPT_CLOSED = 3  # rings of loops that were closed
_KEPT_SECONDS = 24 * 3600.0
_AFTERWARDS = 0.05  # seconds; the end of what happened is to be in the dump, too
_DUMP_SECONDS = 60.0  # at least, between two dumps that nobody asked for by a call


@dataclass(eq=False)
class _Recorded:
    """A loop that is recorded, or was."""

    loop: weakref.ref[Any]
    ring: Ring
    memory: Any
    path: str  # "" if it is no file's

    def is_over(self) -> bool:
        """Whether there will be nothing more."""
        loop = self.loop()
        return loop is None or loop.is_closed()


_recorded: list[_Recorded] = []  # the oldest first
_settings: tuple[int, bool] | None = None  # records of a ring, whether it is a file; None while nothing is recorded
_keeps = 0.0  # seconds of what happened that a dump shows; 0: all that there is
_rings_made = 0
_registered = False
_began: tuple[Ring | None, int] = (
    None,
    0,
)  # the ring of the loop in whose thread the collector runs, and since when in ticks
_last_dump = -_DUMP_SECONDS
_dumping: threading.Thread | None = None  # what copies a recording
_logger = logging.getLogger("asyncio")


def parse_size(words: str) -> int:
    """Return a size in bytes: "16MiB", "500k", "8000000". ValueError if it is none."""
    digits = words.strip().rstrip("bBiIkKmMgG")
    unit = words.strip()[len(digits) :].lower()
    if not digits.isdecimal() or unit not in _UNITS:
        raise ValueError(f"{words!r} is no size; sizes are written as 16MiB, 500KiB or 1GiB")
    return int(digits) * _UNITS[unit]


def parse_limit(words: str) -> tuple[int, float]:
    """Return bytes and seconds, 0 for no limit: "16MiB", "64MiB,30s", "30s". ValueError if they are none."""
    size, seconds = _DEFAULT, 0.0
    for part in words.split(","):
        digits = part.strip().rstrip("minshMINSH")
        unit = part.strip()[len(digits) :].lower()
        if unit in _SECONDS and digits.isdecimal() and 0 < int(digits) <= 1_000_000:
            seconds = int(digits) * _SECONDS[unit]
        else:
            size = parse_size(part)
    return size, seconds


def start(size: int | str = _DEFAULT, file: bool = True) -> None:
    """Record what every loop of this process does from now on, each into a ring of `size` bytes, the newest of it.

    `size` is a number of bytes or words as "16MiB"; of "64MiB,30s" only the last 30 seconds are shown. With `file` the
    ring is a file of the user's own, which can be read when the process has died; else it is memory. OSError if there
    is no room for it, ValueError for a size that makes no sense. Doing it twice changes nothing.
    """
    global _settings, _registered, _keeps
    if _settings is not None:
        return
    room, keeps = parse_limit(size) if isinstance(size, str) else (size, 0.0)
    records = 1 << max(0, room // schema.RECORD).bit_length() - 1 if room >= schema.RECORD else 0
    if not schema.SMALLEST <= records <= schema.LARGEST:
        least, most = schema.SMALLEST * schema.RECORD, schema.LARGEST * schema.RECORD
        raise ValueError(f"a recording has from {least:,} to {most:,} bytes, not {room:,}")
    _settings, _keeps = (records, file), keeps
    try:
        for loop in forks.loops():
            if not loop.is_closed():
                _record(loop)
    except BaseException:
        stop()
        raise
    forks.tell(_record_quietly)
    reports.tell_errors_to(_failed)
    gc.callbacks.append(_collecting)
    if not _registered:
        _registered = True
        atexit.register(stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forked)


def start_from_environment() -> None:
    """Begin as CEDE_RECORD says: a size, or 1 for the usual one. What does not work is told on standard error."""
    words = os.environ.get("CEDE_RECORD", "")
    try:
        start(_DEFAULT if words == "1" else words)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cede: CEDE_RECORD={words}: {error}\n")


def stop() -> None:
    """End the recording; its files are removed. Nothing happens if there is none."""
    global _settings, _dumping
    if _settings is None:
        return
    _settings = None
    forks.tell(None)
    reports.tell_errors_to(None)
    dumping, _dumping = _dumping, None
    if dumping is not None and dumping is not threading.current_thread():
        dumping.join()
    if _collecting in gc.callbacks:
        gc.callbacks.remove(_collecting)
    while _recorded:
        one = _recorded.pop()
        loop = one.loop()
        if loop is not None:
            _into(loop, None)
        struct.pack_into("<Q", one.memory, schema.FIELDS["flags"][0], schema.ENDED)
        if one.path:
            _remove(one.path)


def dump(path: str) -> list[str]:
    """Write what was recorded so far to files, and go on; return their names.

    `path` says by its end how: `.json` for Chrome's trace format, which Perfetto opens; `.html` for a page to look at;
    else the ring itself, for `cede show`. Each loop beyond the first gets a name of its own. RuntimeError if nothing is
    recorded.
    """
    if not _recorded:
        raise RuntimeError("nothing is recorded: cede.observe.start() begins, or CEDE_RECORD=16MiB in the environment")
    stem, end = os.path.splitext(path)
    names = []
    for index, one in enumerate(list(_recorded)):
        name = path if index == 0 else f"{stem}-{index + 1}{end}"
        _moment(one)
        copy, after = schema.snapshot(memoryview(one.memory))
        if end in (".json", ".html"):
            from .export import write

            write(schema.decode(copy, after), name)
        else:
            with open(name, "wb") as file:
                file.write(copy)
        names.append(name)
    return names


def mark(text: str) -> None:
    """Put a word of the program's own into the recording of the running loop, at most 80 bytes of it."""
    ring = _ring_of_running_loop()
    if ring is not None:
        ring.mark(str(text))


def dump_on(signal_number: int, folder: str | None = None) -> None:
    """Dump the recording whenever the signal comes, at most once a minute, into `folder` or that of the rings.

    Main thread only, as `signal.signal`.
    """

    def on_signal(number: int, frame: Any) -> None:
        global _last_dump
        if not _recorded or time.monotonic() - _last_dump < _DUMP_SECONDS:
            return
        _last_dump = time.monotonic()
        try:
            name = f"{os.getpid()}-{time.strftime('%Y%m%dT%H%M%S')}.dump"
            dump(os.path.join(folder or own_folder(), name))
        except OSError as error:
            sys.stderr.write(f"cede: the recording could not be dumped: {error}\n")

    _last_dump_reset()
    signal.signal(signal_number, on_signal)


def _last_dump_reset() -> None:
    global _last_dump
    _last_dump = -_DUMP_SECONDS


def dump_of_itself(reason: str) -> None:
    """Keep the recording beside its file, because of what happened just now; at most once a minute.

    From any thread, and at once: another thread copies it. Nothing happens if no file is recorded into.
    """
    global _last_dump, _dumping
    paths = [one.path for one in list(_recorded) if one.path]
    if not paths or time.monotonic() - _last_dump < _DUMP_SECONDS:
        return
    _last_dump = time.monotonic()
    for one in list(_recorded):
        _moment(one)
    _dumping = threading.Thread(target=_keep, args=(paths, reason), name="cede-dump")
    try:
        _dumping.start()
    except RuntimeError:
        _dumping = None  # the interpreter ends, or has no room for a thread


def _keep(paths: list[str], reason: str) -> None:
    time.sleep(_AFTERWARDS)
    for path in paths:
        name = f"{path.removesuffix('.ring')}-{time.strftime('%Y%m%dT%H%M%S')}-{reason}.dump"
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(path, "rb") as ring, open(fd, "wb") as kept:
                shutil.copyfileobj(ring, kept, 1 << 20)
        except OSError as error:
            _logger.warning("The recording could not be kept: %s", error)
        else:
            _logger.warning("What happened before it (%s) is kept in %s", reason, name)
    _remove_old(os.path.dirname(paths[0]))


def _failed(context: dict[str, Any]) -> None:
    """What `engine.reports` calls of an error that nobody caught."""
    if context.get("exception") is not None:
        dump_of_itself("exception")


def totals() -> tuple[int, int]:
    """Return how many records were written, and how many bytes the rings have."""
    ones = list(_recorded)
    return sum(one.ring.count() for one in ones), sum(len(one.memory) for one in ones)


def rings() -> list[tuple[Any, str]]:
    """Return the memory of each ring, the oldest first, and the name of its file, "" where it has none."""
    return [(one.memory, one.path) for one in _recorded]


# --- A ring of a loop ---------------------------------------------------------------------------------


def _record_quietly(loop: Any) -> None:
    """Record a new loop; a program that makes one is not to fail for that."""
    # A simulated world has a disk and a clock of its own; the ring is none of it.
    current = sys.modules.get("cede.simulation.current")
    host = None if current is None else current.enter(None)
    try:
        _record(loop)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cede: a loop is not recorded: {error}\n")
    finally:
        if current is not None:
            current.enter(host)


def _record(loop: Any) -> None:
    global _rings_made
    if _settings is None:
        return
    _forget_closed()
    records, in_file = _settings
    _rings_made += 1
    size = schema.HEADER + schema.NAMES + records * schema.RECORD
    memory, path = _file(size) if in_file else (mmap.mmap(-1, size, flags=_MAPPED), "")
    ring = Ring(
        memory,
        records,
        os.environ.get("CEDE_RECORD_NAMES", "1") != "0",
        stock_waits.by_address(),
        stock_waits.cancels_by_address(),
        _time_of(loop),
    )
    _write_header(memory, ring, records)
    _recorded.append(_Recorded(weakref.ref(loop), ring, memory, path))
    _into(loop, ring)


def _time_of(loop: Any) -> Callable[[], float] | None:
    """Return what tells the time of a loop that goes by its own, without a reading that it would notice."""
    clock = loop._own_clock
    if type(clock) is Clock:
        return None
    if isinstance(clock, ForeignClock):
        clock = clock.clock
    peek: Callable[[], float] = getattr(clock, "peek", clock.time)
    return peek


def _into(loop: Any, ring: Ring | None) -> None:
    ident = loop._thread_id
    if ident is None or ident == threading.get_ident():
        loop._record_into(ring)
        return
    try:
        loop.call_soon_threadsafe(loop._record_into, ring)
    except RuntimeError:
        pass  # it was closed just now


def _forget_closed() -> None:
    """Forget the rings of loops that were closed, but for the last few."""
    over = [one for one in _recorded if one.is_over()]
    for one in over[: -_KEPT_CLOSED or None]:
        _recorded.remove(one)
        if one.path:
            _remove(one.path)


def _file(size: int) -> tuple[mmap.mmap, str]:
    folder = own_folder()
    _remove_old(folder)
    path = os.path.join(folder, f"{os.getpid()}-{_rings_made}.ring")
    _remove(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        # Order: what is not there when it is written to would end the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:
            os.write(fd, bytes(size))
        return mmap.mmap(fd, size, flags=_MAPPED), path
    except OSError as error:
        _remove(path)
        raise OSError(error.errno, f"no room for a recording of {size:,} bytes in {folder}: {error.strerror}") from None
    finally:
        os.close(fd)


def _write_header(memory: mmap.mmap, ring: Ring, records: int) -> None:
    ticks, monotonic = ring.moment()
    values: dict[str, Any] = {
        "version": schema.VERSION,
        "record": schema.RECORD,
        "records": records,
        "names": schema.NAMES,
        "pid": os.getpid(),
        "number": _rings_made,
        "begun_ticks": ticks,
        "begun_monotonic": monotonic,
        "begun_wall": time.time_ns(),
        "keeps": int(_keeps * 1e9),
        "boot": _boot().encode(),
        "python": sys.version.split()[0].encode(),
        "cede": __version__.encode(),
        "thread": threading.get_native_id(),
        "magic": schema.MAGIC,  # Order: last, then all of it is there
    }
    for name, value in values.items():
        place, form = schema.FIELDS[name]
        struct.pack_into("<" + form, memory, place, value)


def _moment(one: _Recorded) -> None:
    ticks, monotonic = one.ring.moment()
    struct.pack_into("<QQ", one.memory, schema.FIELDS["latest_ticks"][0], ticks, monotonic)


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _remove_old(folder: str) -> None:
    """Remove the rings of dead processes, and what was kept of itself, but for the last few of a day."""
    from .processes import exists

    old: dict[str, list[tuple[float, str]]] = {".ring": [], ".dump": []}
    for name in os.listdir(folder):
        pid = name.partition("-")[0]
        kind = os.path.splitext(name)[1]
        if kind in old and pid.isdecimal() and (kind == ".dump" or not exists(int(pid))):
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                old[kind].append((found.st_mtime, path))
    for found_ones in old.values():
        for index, (written, path) in enumerate(sorted(found_ones, reverse=True)):
            if index >= _KEPT or time.time() - written > _KEPT_SECONDS:
                _remove(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


# --- Forks and the collector ----------------------------------------------------------------------------


def _forked() -> None:
    """In a forked child: the rings are the parent's. Loops that are made here get their own."""
    global _rings_made, _dumping
    _recorded.clear()
    _rings_made = 0
    _dumping = None


def _ring_of_running_loop() -> Ring | None:
    return getattr(_get_running_loop(), "_ring", None)


def _collecting(phase: str, info: dict[str, int]) -> None:
    global _began
    if phase == "start":
        ring = _ring_of_running_loop()
        _began = (None, 0) if ring is None else (ring, ring.moment()[0])
        return
    ring, began = _began
    _began = (None, 0)
    if ring is not None:
        ring.collected(info.get("generation", 0), began, info.get("collected", 0))
