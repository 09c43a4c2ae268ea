"""explore: many runs of one program, each with other choices, and what failed in them, made small.

A failure is known by the type of its exception and by the innermost line of the user's. The first of each kind is
run twice more, to see that it is the same run; then shrunk, and told as a story. One passing run of fifty is
had again as well: a program that is not the same each time is reported as such, with the first event that differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .bounded import sets_of_choices
from .choices import Name, Replay, Strategy
from .errors import NotDeterministic, NotWanted
from .outside import put_aside
from .picture import write
from .report import StoryLine, counted, difference_report, failure_report, headline, users_line
from .running import begin, check_settings, opened
from .shrink import SECONDS, Enough, Shrinker, Shrunk
from .strategies import strategy as strategy_of
from .token import Token
from .trace import Event, first_difference
from .world import World

CHECKED = 50  # one passing run of so many is had again
TELLING_SECONDS = 10.0  # for the runs that find out in words from where on a choice makes a run fail
Kind = tuple[str, str]


@dataclass
class Outcome:
    """How one run ended."""

    seed: int
    error: BaseException | None
    result: Any
    wild: dict[Name, float]
    told: dict[Name, tuple[float, str, str]]
    drawn: int  # choices in all
    seen: dict[str, bool]  # what `world.sometimes` looked out for
    events: list[Event]  # of the log, if it was kept
    now: float  # seconds of the world at the end
    outside: list[str]  # what went wrong on the real machine, in words

    @property
    def kind(self) -> Kind | None:
        """What the failure is known by, or None if the run passed."""
        return None if self.error is None else (type(self.error).__qualname__, users_line(self.error))


@dataclass
class Failure:
    """One kind of failure, as it was first found, and what it needs."""

    error: BaseException
    token: Token
    shrunk: Shrunk
    story: list[StoryLine]
    wild: int  # choices that were wild when it was found
    events: list[Event]
    replay: str  # how to have it again, in words
    count: int = 1  # runs that failed in this way

    def report(self) -> str:
        """Return the story in words."""
        return failure_report(self)

    def write(self, folder: str, name: str) -> None:
        """Write the event log into `folder`: as `name`.txt, as a page, `name`.html, and as `name`.json for Perfetto."""
        story = [(line.time, f"{line.where}: {line.what}") for line in self.story]
        write(self.events, folder, name, story, headline(self.error))


@dataclass
class Exploration:
    """What came of many runs."""

    runs: int = 0
    seconds: float = 0.0  # of real time
    failures: list[Failure] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # names of `world.sometimes` that no run saw

    def raise_first(self) -> None:
        """Raise the first failure, with its story as a note; if there is none, do nothing."""
        for failure in self.failures:
            raise failure.error

    def __str__(self) -> str:
        kinds = counted(len(self.failures), "kind of failure", "kinds of failure")
        head = f"{counted(self.runs, 'run')} in {self.seconds:.1f} s, {kinds}"
        parts = [head, *(f"{_headline(f.error)}\n{f.report()}" for f in self.failures)]
        if self.unseen:
            parts.append("never seen: " + ", ".join(self.unseen))
        return "\n".join(parts)


def _headline(error: BaseException) -> str:
    return f"{headline(error)}    {users_line(error)}"


class Explorer:
    """Has runs of one program, and shrinks those that fail. `through` are exceptions that are no failures."""

    def __init__(
        self,
        program: Callable[[World], Any],
        settings: dict[str, Any],
        *,
        through: tuple[type[BaseException], ...] = (),
        how_to_replay: Callable[[Token], str] = "token: '{}'".format,
        shrink_seconds: float = SECONDS,
    ) -> None:
        """`program` runs in the world that it is given, from its beginning to its end."""
        check_settings(settings)
        self._program = program
        self._settings = settings
        self._through: tuple[type[BaseException], ...] = (KeyboardInterrupt, GeneratorExit, NotWanted, *through)
        self._how_to_replay = how_to_replay
        self._shrink_seconds = shrink_seconds
        self.found = Exploration()  # so far; also what is left of an exploration that was interrupted

    def once(
        self, seed: int, strategy: Strategy, *, log: bool = False, is_wanted: Callable[[], bool] | None = None
    ) -> Outcome:
        """Have one run. NotWanted if it is said not to be wanted any longer, which is asked every 10,000 turns."""
        error = result = world = None
        try:
            with opened(**{**self._settings, "seed": seed, "strategy": strategy, "log": log}) as world:
                world.is_wanted = is_wanted
                result = self._program(world)
        except BaseException as exc:
            if world is None or isinstance(exc, self._through):
                raise
            error = exc
        choices = world.choices
        drawn = sum(choices.streams().values())
        events = [] if world.log is None else world.log.events
        real = world.network.outside
        outside = [] if real is None else real.failures
        return Outcome(seed, error, result, choices.wild, choices.told, drawn, world.seen, events, world.now, outside)

    def examine(self, outcome: Outcome, strategy: Callable[[], Strategy], name: str) -> Failure:
        """Return the story of a run that failed; NotDeterministic if it cannot be had again."""
        self.compare(outcome, strategy)
        assert outcome.error is not None
        kind = outcome.kind

        def attempt(kept: dict[Name, float]) -> dict[Name, float] | None:
            try:
                again = self.once(outcome.seed, Replay(kept), is_wanted=shrinker.has_time)
            except NotWanted:
                raise Enough from None
            return again.wild if again.kind == kind else None

        # Runs that wait for the real machine use no processor.
        clock = time.perf_counter if self._settings.get("allow_outside") else time.process_time
        shrinker = Shrinker(attempt, seconds=self._shrink_seconds, clock=clock)
        shrunk = shrinker.shrink(outcome.wild)
        final = self.once(outcome.seed, Replay(shrunk.kept), log=True)
        token = Token(outcome.seed, name, shrunk.kept)
        until = clock() + TELLING_SECONDS
        story = [self._line(outcome.seed, shrunk, final, choice, lambda: clock() <= until) for choice in shrunk.kept]
        story.sort(key=lambda line: line.time)
        error = outcome.error if final.error is None else final.error
        replay = self._how_to_replay(token)
        if outside := self._settings.get("allow_outside"):
            failed = f" ({'; '.join(dict.fromkeys(outcome.outside))})" if outcome.outside else ""
            replay = f"not reproducible, as it talks to {', '.join(outside)} of the real machine{failed}; {replay}"
        failure = Failure(error, token, shrunk, story, len(outcome.wild), final.events, replay)
        error.add_note(failure.report())
        return failure

    def _as_found(self, outcome: Outcome, name: str) -> Failure:
        """Return a failure with all its choices."""
        assert outcome.error is not None
        token = Token(outcome.seed, name, outcome.wild)
        shrunk = Shrunk(outcome.wild, dict(outcome.wild), 0, False)
        failure = Failure(outcome.error, token, shrunk, [], len(outcome.wild), [], self._how_to_replay(token))
        outcome.error.add_note(failure.report())
        return failure

    def compare(self, outcome: Outcome, strategy: Callable[[], Strategy]) -> None:
        """Have a run twice again. NotDeterministic, with the first difference, unless both are the same."""
        if self._settings.get("allow_outside"):
            return  # what the real machine answers, and when, nobody can have again
        one, other = (self.once(outcome.seed, strategy(), log=True) for _ in range(2))
        difference = first_difference(one.events, other.events)
        if difference is not None or one.kind != other.kind or one.kind != outcome.kind:
            raise NotDeterministic(difference_report(outcome, (one, other), difference))

    def _line(
        self, seed: int, shrunk: Shrunk, final: Outcome, choice: Name, is_wanted: Callable[[], bool]
    ) -> StoryLine:
        """Tell of a choice; what it is at the least only if the run that knows is over while it is wanted."""
        value = shrunk.kept[choice]
        time, where, what = final.told.get(choice, (final.now, f"{choice[0]}, choice {choice[1] + 1}", f"{value:.3g}"))
        bound = shrunk.bounds[choice]
        least = ""
        if bound < value and is_wanted():
            try:
                told = self.once(seed, Replay({**shrunk.kept, choice: bound}), log=True, is_wanted=is_wanted).told
                least = told.get(choice, (0.0, "", f"{bound:.3g}"))[2]
            except NotWanted:
                pass
        return StoryLine(time, where, what, "" if least == what else least)

    # --- Many runs

    def explore(self, seeds: Iterable[int], name: str, *, first: bool) -> Exploration:
        """Have a run a seed, or with "bounded" all runs that differ from the tame one in a few choices."""
        found = self.found = Exploration()
        failures: dict[Kind, Failure] = {}
        seen: dict[str, bool] = {}
        began = time.perf_counter()
        try:
            self._explore(seeds, name, found, failures, seen, first)
        finally:
            found.failures = list(failures.values())
            found.unseen = sorted(what for what, whether in seen.items() if not whether)
            found.seconds = time.perf_counter() - began
        return found

    def _explore(
        self,
        seeds: Iterable[int],
        name: str,
        found: Exploration,
        failures: dict[Kind, Failure],
        seen: dict[str, bool],
        first: bool,
    ) -> None:
        with put_aside():
            for outcome, strategy in self._all(seeds, name):
                found.runs += 1
                for what, whether in outcome.seen.items():
                    seen[what] = seen.get(what, False) or whether
                kind = outcome.kind
                if kind is None:
                    if found.runs % CHECKED == 1:
                        self.compare(outcome, strategy)
                elif kind in failures:
                    failures[kind].count += 1
                else:
                    try:
                        failures[kind] = self.examine(outcome, strategy, name)
                    except KeyboardInterrupt:  # who does not wait until it is small has it as it was found
                        failures[kind] = self._as_found(outcome, name)
                        raise
                    if first:
                        break

    def first_failure(self, seeds: Iterable[int], name: str) -> tuple[int, Outcome | None, Callable[[], Strategy]]:
        """Have runs until one fails. Return how many there were, the one that failed, and what makes its strategy."""
        runs = 0
        strategy: Callable[[], Strategy] = Strategy
        with put_aside():
            for outcome, strategy in self._all(seeds, name):
                runs += 1
                if outcome.kind is not None:
                    return runs, outcome, strategy
        return runs, None, strategy

    def _all(self, seeds: Iterable[int], name: str) -> Iterator[tuple[Outcome, Callable[[], Strategy]]]:
        if name.startswith("bounded"):
            yield from sets_of_choices(self.once, seeds, name)
            return
        drawn = 0
        for seed in seeds:

            def strategy(seed: int = seed, drawn: int = drawn) -> Strategy:
                return strategy_of(name, seed, drawn)

            outcome = self.once(seed, strategy())
            yield outcome, strategy
            drawn = outcome.drawn


def explore(
    main: Callable[..., Any],
    *,
    seeds: Iterable[int] = range(1000),
    strategy: str = "uniform",
    first: bool = False,
    shrink_seconds: float = SECONDS,
    **settings: Any,
) -> Exploration:
    """Have a run of `main` (as for `run`) with each seed, and return what failed, shrunk, by kind.

    `strategy` is "uniform" (each choice by itself), "pct" or "pct(DEPTH)" (few exactly placed events), "pos" (all
    choices wild), or "bounded(K)": all runs that differ from the tame one in at most K choices, as far as there are
    seeds to count them. `first` ends with the first failure; shrinking one takes at most
    200 runs or `shrink_seconds` of the processor's time (of real time with `allow_outside`), beside the two runs that
    it is compared with and those of the story. `settings` are those of `World`.
    NotDeterministic if the same choices do not make the same run.
    """
    if not callable(main):
        raise TypeError(f"to be run many times, main must be an async callable and no coroutine, got {main!r}")
    return Explorer(partial(begin, main), settings, shrink_seconds=shrink_seconds).explore(seeds, strategy, first=first)


def replay(main: Callable[..., Any], token: str, **settings: Any) -> Any:
    """Have the run of a token (its text, or the name of its file) again.

    Return what `main` returns, or raise what it raises. ValueError if there is no such token.
    """
    from .token import parse

    had = parse(token)
    with opened(seed=had.seed, strategy=Replay(had.kept), **settings) as world:
        return begin(main, world)
