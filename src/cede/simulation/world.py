"""World: hosts, choices and a network, over an agenda (`turns.py`) that says whose turn it is, and what time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from os import PathLike
from typing import TYPE_CHECKING, Any

from . import current
from .choices import Choices, Name, Strategy, Stream, Uniform, even, key_of
from .errors import Deadlock, Livelock, NotWanted
from .faults import Troubles, no_host
from .hosts import Host, abandon, shut_down
from .order import check_order
from .programs import Belongings, ProgramHost
from .report import deadlock_report, livelock_report
from .strategies import of_one_run
from .threads import Threads, Waiter
from .trace import Trace
from .turns import Turns, next_deadline

if TYPE_CHECKING:
    from .children import Stub

MAX_TIME = 86_400.0  # seconds of the world, unless somebody says otherwise
TURNS_OF_A_LIVELOCK = 1_000_000


class _Hosts(dict[str, Host]):
    """The hosts of a world, by name."""

    def __missing__(self, name: object) -> Host:
        raise KeyError(no_host(self, name))


class World(Turns, Troubles):
    """A simulated world, from its first turn to its end. `cede.simulation.run` makes one and puts it away."""

    def __init__(
        self,
        *,
        seed: int = 0,
        strategy: Strategy | str | None = None,
        late: bool = True,
        order: str = "fifo",
        log: bool = False,
        max_time: float = MAX_TIME,
        max_turns: int | None = None,
        allow_outside: Iterable[str] = (),
    ) -> None:
        from .network import Network  # here, as they are only needed where there is a world

        super().__init__(max_time, inf if max_turns is None else max_turns, Trace(self) if log else None)
        self.seed = seed
        check_order(order)
        self.order = order  # in which a loop runs what is ready: "fifo", "wakeups" or "any" (`order.py`)
        self.late = late  # whether hosts may oversleep
        self.choices = Choices(Uniform(seed) if strategy is None else of_one_run(strategy, seed))
        self.hosts: dict[str, Host] = _Hosts()
        self._mark: tuple[float, int, float] = (TURNS_OF_A_LIVELOCK, 0, inf)  # when to look whether anybody gets on
        self.is_wanted: Callable[[], bool] | None = None  # asked now and then; False ends the run by NotWanted
        self.seen: dict[str, bool] = {}  # what `sometimes` was asked to look out for, and whether it was seen
        self.executables: dict[str, Stub] = {}  # what answers for the programs that hosts start
        self.children = 0  # processes that hosts have started
        self.threads = Threads(self)
        self.network = Network(self)
        if allow_outside:
            from .real_machine import RealMachine

            self._real_machine = self.network.outside = RealMachine(self, allow_outside)

    # --- Chance and time

    def draw(self, stream: str, index: int, p: float = 1.0) -> float:
        """Return the value of a choice in [0, 1): 0.0, the tame one, with probability 1 - `p` or more."""
        return self.choices.draw(stream, index, p)

    def stream(self, name: str, p: float = 1.0) -> Stream:
        """Return the stream of that name; its `draw()` counts."""
        return self.choices.stream(name, p)

    def explain(self, stream: Stream, where: str, what: str) -> None:
        """Say in words what the last choice of a stream was: `where` whatever its value is, `what` by its value.

        To be called where the value was not the tame one, and somebody looks (`log`).
        """
        self.explain_choice((stream.name, stream.index - 1), where, what)

    def explain_choice(self, choice: Name, where: str, what: str) -> None:
        """`explain` for a choice that no counted stream drew: (stream, index)."""
        running = self.current
        now = self.now if running is None else running.now
        self.choices.told[choice] = (now, where, what)

    def buggify(self, host: Host, name: str, p: float) -> bool:
        """Answer `cede.buggify` on a host."""
        if even(key_of(self.seed, "buggify", name), 0) < 0.5:
            return False
        stream = self.choices.stream(f"{host.name}/{name}/buggify", p)
        fires = stream.draw() > 0.0
        if fires and self.log is not None:
            self.explain(stream, f"{host.name}, buggify {name!r}", f"fires, the {stream.index}. time it was asked")
        return fires

    # --- What must hold, and what should happen

    def check(self, invariant: Callable[[], Any]) -> None:
        """Call `invariant()` after every turn of any host; what it raises ends the run."""
        self._invariants.append(invariant)

    def sometimes(self, name: str, condition: object = True) -> None:
        """Note that something was seen here, if `condition` is true; an exploration names what it never saw."""
        self.seen[name] = self.seen.get(name, False) or bool(condition)

    async def settle(self) -> None:
        """Wait until nobody else can go on at this instant: all others wait for a timer, or for a packet on its way."""
        future = self._running_host().loop.create_future()
        self._settlers.append(future)
        await future

    def _running_host(self) -> Host:
        host = current.host()
        if host is None or host.world is not self:
            raise RuntimeError("this is not code of a program that runs in this world")
        return host

    def _has_settled(self) -> bool:
        return all(host.dead or not host.has_work() for host in self.hosts.values())

    def _wake_settler(self) -> None:
        future = self._settlers.pop(0)
        if not future.done():
            future.set_result(None)
            for host in self.hosts.values():
                if future.get_loop() in host.loops:
                    host.oversleep = 0.0
                    self.wake(host)

    # --- Hosts

    def host(
        self,
        name: str,
        main: Callable[[], Awaitable[Any]] | None = None,
        *,
        address: str | Iterable[str] | None = None,
        wall_clock: float | datetime | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Host:
        """Make a host and start it; `main` (an async callable) runs on it, and what that raises ends the run.

        `address`: its IP address, or several (default: 10.0.0.N and fd00::N); `wall_clock`: what its clock shows now,
        seconds since 1970 or a datetime; `environ`: what `os.environ` is there (default: the process's).
        """
        self._check_name(name)
        if main is not None and not callable(main):
            if inspect.iscoroutine(main):
                main.close()  # nobody is to be told that it was never awaited, too
            how = "give the function itself, which is called anew after each restart"
            how += f": world.host({name!r}, serve); a script is world.program({name!r}, 'node.py')"
            raise TypeError(f"what runs on host {name!r} must be an async callable, got {main!r}: {how}")
        host = Host(self, name, address=address, wall_clock=wall_clock)
        host.main = main
        host.belongings = None if environ is None else Belongings(environ)
        return self._begin(host)

    def program(
        self,
        name: str,
        path: str | PathLike[str],
        argv: Sequence[str] = (),
        *,
        address: str | Iterable[str] | None = None,
        wall_clock: float | datetime | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> ProgramHost:
        """Make a host that runs a script, as `python path argv…` would, with its own copies of the modules beside it.

        What the script raises ends the run, and so does an exit status that is not 0. Options are those of `host`.
        FileNotFoundError if there is no such script.
        """
        self._check_name(name)
        options = {"address": address, "wall_clock": wall_clock, "environ": environ}
        host = ProgramHost(self, name, path, argv, **options)
        self._begin(host)
        return host

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a host must be a str, got {name!r}: world.host('bank', serve)")
        if name in self.hosts:
            raise ValueError(f"there is a host {name!r} already: give each one a name of its own")

    def _begin(self, host: Host) -> Host:
        self.hosts[host.name] = host
        host.start()
        self.network.faults.began(host)
        host.begin()
        return host

    def executable(self, name: str, stub: Stub) -> None:
        """Let `stub(process)`, an async callable, answer for a program that hosts start as a process of their own."""
        self.executables[name] = stub

    def wear(self, host: Host) -> None:
        """Lay a host's belongings in place, as its code is to run."""
        if host.belongings is not self._worn:
            if self._worn is not None:
                self._worn.take_off()
            self._worn = host.belongings
            if self._worn is not None:
                self._worn.put_on()

    def fail(self, error: BaseException) -> None:
        """End the run with what a host's program raised."""
        if self._failure is None:
            self._failure = error

    def _host_ended(self, task: Any) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    def waiter(self) -> Waiter:
        """Return what a blocking call waits with, on whatever thread of the world."""
        return Waiter(self)

    # --- The run

    def drive(self, awaitable: Awaitable[Any]) -> Any:
        """Run until an awaitable is done, on the host "main", which is made if there is none; return its result.

        For code that is not async itself, as a plain test; it may be called again and again. What the awaitable
        raises is raised, and Deadlock, Livelock or OutOfTime where it can never end.
        """
        return self.complete(self.hosts.get("main") or self.host("main"), awaitable)

    def complete(self, host: Host, awaitable: Awaitable[Any]) -> Any:
        """Run until an awaitable is done, on `host`; return its result or raise its exception."""
        task = host.spawn(awaitable, host.name)
        try:
            self.advance(task.done)
            return task.result()
        finally:
            if task.done() and not task.cancelled():
                task.exception()  # retrieved: what the loop raised itself, as KeyboardInterrupt, is on its way
            del task

    def _cannot_go_on(self) -> None:
        raise Deadlock(deadlock_report(self))

    def _see_whether_anybody_gets_on(self, host: Host) -> None:
        if self.is_wanted is not None and not self.is_wanted():
            raise NotWanted("there is no time left for this run")
        turns, arrivals, deadline = self._mark
        if self.turns < turns:
            return
        loops = [(host, loop) for host in self.hosts.values() if not host.dead for loop in host.loops]
        deadlines = (host.clock.world_time(next_deadline(loop)) for host, loop in loops if not loop.is_closed())
        earliest = min(deadlines, default=inf)
        if self._arrivals == arrivals and earliest == deadline:
            raise Livelock(livelock_report(self, host, TURNS_OF_A_LIVELOCK))
        self._mark = (self.turns + TURNS_OF_A_LIVELOCK, self._arrivals, earliest)

    # --- The end

    def close(self) -> None:
        """End all hosts as `cede.run` ends a program: cancel what is left, run it out, close the loops."""
        try:
            for host in list(self.hosts.values()):
                if host.loop is not None and not host.loop.is_closed():
                    self._shut_down(host)
        finally:
            try:
                self.threads.close()
            finally:
                self._put_away()

    def _shut_down(self, host: Host) -> None:
        task = host.spawn(shut_down(host.loop), host.name)
        self.advance(lambda: task.done() or host.dead)  # its program may end it by a signal, as its last act
        if task.done():
            task.result()

    def _put_away(self) -> None:
        for host in self.hosts.values():
            with host.entered():
                for loop in host.loops:
                    abandon(loop)
        if self._worn is not None:
            self._worn.take_off()
            self._worn = None
        self.network.close()
        if self._real_machine is not None:
            self._real_machine.close()
        self._agenda.clear()
