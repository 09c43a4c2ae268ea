"""Ring: what a loop did last, in memory that outlives the process if it is a file's.

The memory is a header, a table of names, and 2 ** n records of 32 bytes, of which the oldest is overwritten; what they
mean stands in `cede.observe.schema`. Its one writer is the loop's thread. Whoever reads it, in whatever process, does
so without a lock: the header counts the records ever written, after each.

Law: a record allocates nothing, holds no object, and cannot fail. A step begins where the last one ended, so it costs
one reading of the clock.
"""

import functools
import types

from . import records, ticks, waited
from .pulse import by_two_clocks

_HEADER = 4096  # bytes
_RECORD = 32  # bytes
_NAMES = 1 << 20  # bytes for names
# Places in the header.
_HEAD = 32
_NAMES_LENGTH = 40
_LATEST = 88  # a moment by ticks and by the monotonic clock, the latest one
_COUNTERS = 112
_STALLED = 160
_FIRST_MOMENT = 1 << 16  # ticks from the first such moment to the next, at least; each pause is twice the last
_MOMENT = 1 << 30  # at most

_STEP, _CALL, _BIRTH, _DEATH, _NAME, _SLEEP, _DELIVER, _GC, _MARK = 1, 2, 3, 4, 5, 6, 7, 14, 16
_BYTES, _WAIT, _HOLD, _LET_GO, _CANCEL, _STALL, _INCOMING = 8, 9, 10, 11, 12, 13, 15
_BITS = waited.BITS
_RESOURCE = (1 << _BITS) - 1
_NAMELESS = (waited.SLEEP, waited.READ, waited.DRAIN, waited.TASKS)  # of which it is not told which one
_PARTS = 5  # records a name takes at most
_MOST = 0xFFFFFFFF
_BUILTIN = type(print)
_COROUTINE = types.CoroutineType
_PARTIAL = functools.partial


class Ring:
    """The records of one loop. `memory` is a writable buffer, `size` how many records it has room for, a power of 2."""

    def __init__(self, memory, size, with_names=True, stock_waits=None, stock_cancels=None, clock=None):
        view = memoryview(memory).cast("B")
        wanted = _HEADER + _NAMES + size * _RECORD
        if size < 1 or size & (size - 1) or len(view) < wanted:
            raise ValueError(f"no room for {size} records, or no power of two")
        # Order: what is written to is held.
        self._begun = False  # True iff there is a memory to write to
        self._view = view[:wanted]
        self._address = records.address(view)
        self._mask = size - 1
        self._count = 0  # records ever written
        # A function: the time of a loop that goes by its own, in seconds; it is recorded in nanoseconds. Else None.
        self._clock = clock
        self._slept = 0  # of that time, in the poller
        self._last = self._now()  # when what was recorded last ended, which is when the next thing begins
        self._turn = 0  # the turn in which that is, the last 16 bits of it
        self._canceller = 0  # by what a task is about to be cancelled, if that is known; else 0
        self._stalled_since = 0  # since when a watcher has seen the loop stand still, in ticks; 0: it does not
        self._stalled_by = 0  # in the step of which task
        self._running = 0  # the number of the task whose step is running, else 0
        self._idle = 0  # the loop's `_idle_ticks` when it was last recorded
        self._popped = 0  # what the loop said of its timers when it looked last
        self._moment = 0  # when the header last got a moment by two clocks, in ticks
        self._pause = _FIRST_MOMENT  # ticks until it gets the next
        self._with_names = with_names  # False: what tasks are called by their program is left out
        # asyncio's own code that makes a future to wait for: its address, and for what, one of `waited`.
        self._stock_waits = {} if stock_waits is None else stock_waits
        self._stock_cancels = {} if stock_cancels is None else stock_cancels  # and that cancels tasks
        self._stock_slots = [0] * 256  # whether the code in a slot may be one of them
        for code in self._stock_waits:
            self._stock_slots[code >> 4 & 255] = 1
        self._numbers = {}  # of what has a name: its address, else a number of its own: the number in the table
        self._lately = [None] * 256  # what was named lately, each in the slot for its address; all are in `_named`
        self._lately_numbers = [0] * 256
        self._named = []  # keeps alive what has one: code, classes
        self._names_length = 0
        self._begun = True

    # --- What is written --------------------------------------------------------------------------

    def _put(self, end, kind, how, who, ran, woken_by, queued, on):
        at = _HEADER + _NAMES + (self._count & self._mask) * _RECORD
        records.put_record(self._view, self._address, at, end, who, ran, woken_by, queued, on, kind, how, self._turn)
        self._count += 1
        records.put_number(self._view, self._address, _HEAD, self._count)

    def _now(self):
        if self._clock is None:
            return ticks.now()
        return self._own_time()

    def _own_time(self):
        return int(self._clock() * 1e9)

    def _passed(self):
        """The ticks since the last record, which ends now; at most what 32 bits hold."""
        now = self._now()
        ran = now - self._last
        self._last = now
        return ran if ran < _MOST else _MOST

    def _put_text(self, end, kind, who, text):
        """Write up to 80 bytes of a text, 16 a record."""
        if not self._begun:
            return
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        for part in range(_PARTS):
            at = _HEADER + _NAMES + (self._count & self._mask) * _RECORD
            records.put_record(self._view, self._address, at, end, who, 0, 0, 0, 0, kind, part, self._turn)
            records.put_text(self._view, self._address, at, text, part)
            self._count += 1
            records.put_number(self._view, self._address, _HEAD, self._count)
            if size <= (part + 1) * 16:
                break

    # --- What the engine tells --------------------------------------------------------------------

    def _short(self):
        """What time it is in units of 64 ticks, the last 32 bits of it, and never 0."""
        return (self._now() >> 6) & _MOST or 1

    def _begin_turn(self, turn):
        self._turn = turn & 0xFFFF
        self._running = 0

    def _step(self, how, who, on, woken_by, ready_at):
        """A task took a step; what woke it, and when, was noted in it before."""
        begin = self._last
        ran = self._passed()
        queued = 0
        if ready_at:  # else it became ready before there was a ring
            queued = ((begin >> 6) - ready_at) & _MOST
        self._put(self._last, _STEP, how, who, ran, woken_by, queued, on)

    def _call(self, failed, name):
        ran = self._passed()
        self._put(self._last, _CALL, failed, 0, ran, 0, 0, name)

    def _call_name(self, who, name):
        """The program gave a task a name."""
        if self._with_names:
            self._put_text(self._last, _NAME, who, name)

    def _birth(self, eager, who, parent, number, name):
        self._put(self._last, _BIRTH, eager, who, 0, parent, number, name)

    def _death(self, who, parent, number, name):
        self._put(self._last, _DEATH, 0, who, 0, parent, number, name)

    def cancels(self, how):
        """Tell by what the task is cancelled that is cancelled next."""
        self._canceller = how

    def _wait(self, who, note):
        """A task that took a step waits: `Future._noted` of what it awaits says for what."""
        self._put(self._last, _WAIT, note >> _BITS, who, 0, 0, 0, note & _RESOURCE)

    def _bytes(self, how, descriptor, size):
        """By `how`, a transport: 0 received bytes, 1 sent them, 2 accepted a connection, 3 closed its own, 4 lost."""
        self._put(self._last, _BYTES, how, descriptor & _MOST, 0, 0, 0, size if size < _MOST else _MOST)

    def _incoming(self, count):
        """Other threads, or a signal, asked for so many callbacks, which the loop has found now."""
        self._put(self._last, _INCOMING, 0, 0, 0, 0, 0, count)

    def _cancel(self, who):
        """A task is cancelled: by the one that runs, if that is a task, at a place in the program."""
        code = records.calling_code_object(4)
        how, self._canceller = self._canceller, 0
        if how == 0:
            how = self._stock_cancels.get(id(code), 0 if self._running else 1)
        place = 0 if code is None or how > 1 else self._number_of(code)
        self._put(self._last, _CANCEL, how, who, 0, self._running, 0, place)

    def stalled(self, since):
        """Note that the loop stands still since its last look, at `since` in ticks. From any thread."""
        if self._clock is not None:
            return  # its time stands still as well
        self._stalled_by = self._running
        self._stalled_since = since
        if self._begun:
            records.put_number(self._view, self._address, _STALLED, since)

    def _stall_over(self, end):
        ran = end - self._stalled_since if end > self._stalled_since else 0
        self._put(end, _STALL, 0, self._stalled_by, ran if ran < _MOST else _MOST, 0, 0, 0)
        self._stalled_since = 0
        if self._begun:
            records.put_number(self._view, self._address, _STALLED, 0)

    def _hold(self, lets_go, what, who, resource):
        """A task has got what it had to wait for, or gives it to one who waits."""
        self._put(self._last, _LET_GO if lets_go else _HOLD, what, who, 0, 0, 0, resource)

    def _stock_wait(self):
        """The note for a future that asyncio's own code makes now; 0 for all other callers."""
        code = records.calling_code()
        if not self._stock_slots[code >> 4 & 255] or code not in self._stock_waits:
            return 0
        what = self._stock_waits[code]
        thing = records.calling_self()
        return what << _BITS | (0 if thing is None or what in _NAMELESS else waited.foreign(thing))

    def _look(self, pulse, popped):
        """The loop asked the kernel, and told all watchers; `popped` timers became due since some earlier look."""
        timers = popped - self._popped if popped >= self._popped else popped
        self._popped = popped
        pulse._told_of = -1
        if self._clock is None:
            asleep = pulse._idle_ticks - self._idle
            self._idle = pulse._idle_ticks
            if self._stalled_since:
                self._stall_over(pulse._look_ticks - asleep)
            self._last = pulse._look_ticks
        else:
            asleep = self._passed()
            self._slept += asleep
        self._turn = (pulse._turns + 1) & 0xFFFF
        self._put(self._last, _SLEEP, 0, 0, asleep if asleep < _MOST else _MOST, 0, 0, pulse._events)
        delivering = self._passed()
        if pulse._events or timers:
            self._put(self._last, _DELIVER, 0, 0, delivering, 0, timers, pulse._events)
        self._put_counters(pulse)

    def _put_counters(self, pulse):
        if not self._begun:
            return
        view, address = self._view, self._address
        records.put_number(view, address, _COUNTERS, pulse._looks)
        records.put_number(view, address, _COUNTERS + 8, pulse._look_ticks)
        records.put_number(view, address, _COUNTERS + 16, pulse._turns)
        # By a time of its own a loop sleeps and is never busy.
        records.put_number(view, address, _COUNTERS + 24, pulse._busy_ticks if self._clock is None else 0)
        records.put_number(view, address, _COUNTERS + 32, pulse._idle_ticks if self._clock is None else self._slept)
        records.put_number(view, address, _COUNTERS + 40, pulse._longest)
        if self._last - self._moment > self._pause:
            self._moment = self._last
            if self._pause < _MOMENT:
                self._pause *= 2
            now, monotonic = by_two_clocks() if self._clock is None else (self._last, self._last)
            records.put_number(view, address, _LATEST, now)
            records.put_number(view, address, _LATEST + 8, monotonic)

    def mark(self, text):
        """Note a word of the program's own."""
        self._put_text(self._now(), _MARK, 0, str(text))

    def collected(self, generation, began, found):
        """Note that the collector of cycles ran since `began`, in ticks, and how many objects it found."""
        now = self._now()
        self._put(now, _GC, generation, 0, now - began if now - began < _MOST else _MOST, 0, 0, found)

    def moment(self):
        """Return what time it is in ticks, and in nanoseconds of the monotonic clock."""
        if self._clock is not None:
            now = self._now()
            return now, now
        return by_two_clocks()

    def count(self):
        """Return how many records were ever written."""
        return self._count

    # --- Names ------------------------------------------------------------------------------------

    def _name_of_coroutine(self, coro):
        if type(coro) is _COROUTINE:
            return self._number_of(records.code_of_coroutine(coro))
        return self._number_of(getattr(coro, "gi_code", None) or type(coro))

    def _name_of_callback(self, callback):
        while type(callback) is _PARTIAL:
            callback = callback.func
        code = records.code_of(callback)
        if code is not None:
            return self._number_of(code)
        if type(callback) is _BUILTIN:
            key = records.function(callback)
            number = self._numbers.get(key)
            return self._new_name(key, type(callback.__self__), callback.__qualname__) if number is None else number
        return self._number_of(type(callback))

    def _number_of(self, named):
        """The number of a code or a class in the table, which it is put into if it is new; 0 if there is no room."""
        slot = records.slot(named)
        if self._lately[slot] is named:
            return self._lately_numbers[slot]
        number = self._numbers.get(id(named))
        if number is None:
            name = getattr(named, "co_qualname", None) or getattr(named, "__qualname__", "?")
            number = self._new_name(id(named), named, name)
        if number:
            self._lately[slot] = named
            self._lately_numbers[slot] = number
        return number

    def _new_name(self, key, named, name):
        if not self._begun:
            return 0
        file = getattr(named, "co_filename", None) or getattr(named, "__module__", "?")
        line = getattr(named, "co_firstlineno", 0)
        text = f"{name}\0{file}".encode(errors="replace")[:60000]
        entry = len(text).to_bytes(2, "little") + line.to_bytes(4, "little") + text
        number = 0
        if self._names_length + len(entry) <= _NAMES:
            at = _HEADER + self._names_length
            self._view[at : at + len(entry)] = entry
            self._names_length += len(entry)
            records.put_number(self._view, self._address, _NAMES_LENGTH, self._names_length)
            number = len(self._named) + 1
            self._named.append(named)
            self._numbers[key] = number
        return number
