"""Programs: made from a seed, shown, and made smaller.

A program is a body: `[name, [statement, ...]]`, the main coroutine. A statement is a list whose first element is its
kind; what follows is described by `KINDS`. Bodies inside statements are the coroutines of other tasks; each is run at
most once, so every program ends. It is all lists, strings and numbers, hence JSON.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Body = list[Any]
Statement = list[Any]

# What the arguments of each kind of statement are, in order:
#   body     a coroutine; `bodies` a list of them
#   block    statements that run inside this one, in the same task
#   task     the name of a body that another statement starts; it may not have been started yet
#   tasks    a list of such names
#   target   a body, a task or a future: something to await
#   targets  a list of them
#   pause    [seconds, index]: a delay of `seconds` plus a small amount that no other statement has
#   patience the same or None: a timeout; `impatience` also a pause of [0, None], which is exactly zero
#   action   a statement that does not await, run by a callback
#   the rest numbers of objects, flags and values
KINDS: dict[str, tuple[str, ...]] = {
    # what the coroutine does itself
    "log": (),
    "yield": (),
    "sleep": ("pause",),
    "raise": ("error",),
    "return": ("value",),
    "try": ("block", "caught", "block", "block"),
    # tasks
    "spawn": ("body", "eager"),
    "join": ("task",),
    "cancel": ("task", "message"),
    "cancel_me": (),
    "cancelled_at": ("value", "block"),
    "uncancel": (),
    "state": ("task",),
    "callback": ("task", "action"),
    # combinators
    "shield": ("target",),
    "gather": ("targets", "return_exceptions"),
    "wait": ("tasks", "patience", "when"),
    "wait_for": ("target", "impatience"),
    "as_completed": ("tasks", "patience"),
    "group": ("bodies", "block"),
    "group_spawn": ("body",),
    "group_cancel": (),
    "timeout": ("impatience", "block"),
    "reschedule": ("impatience",),
    # futures and callbacks
    "future_wait": ("future",),
    "future_set": ("future",),
    "future_fail": ("future",),
    "future_cancel": ("future",),
    "future_callback": ("future", "action"),
    "call_soon": ("action",),
    "call_later": ("pause", "action"),
    "ticks": ("number",),
    "stop": (),
    # what tasks share
    "event_wait": ("event",),
    "event_set": ("event",),
    "event_clear": ("event",),
    "lock": ("lock", "block"),
    "semaphore": ("semaphore", "block"),
    "condition_wait": ("condition",),
    "notify": ("condition", "number"),
    "barrier": ("barrier",),
    "put": ("queue",),
    "get": ("queue",),
    "put_nowait": ("queue",),
    "get_nowait": ("queue",),
    "task_done": ("queue",),
    "queue_join": ("queue",),
    "queue_shutdown": ("queue", "immediate"),
}

# Statements that a callback can do too.
ACTIONS = (
    "log", "spawn", "cancel", "state", "raise", "future_set", "future_fail", "future_cancel", "event_set",
    "put_nowait", "get_nowait", "call_soon", "stop", "group_cancel",
)  # fmt: skip

# How often each kind is chosen; 1 where nothing is said.
WEIGHTS = {
    "log": 2, "yield": 8, "sleep": 9, "raise": 2, "return": 0.5, "try": 9, "spawn": 12, "join": 6, "cancel": 8,
    "cancel_me": 0.7, "cancelled_at": 4, "uncancel": 0.7, "state": 2, "callback": 3, "shield": 3, "gather": 5, "wait": 4, "wait_for": 5,
    "as_completed": 3, "group": 5, "group_spawn": 2, "timeout": 6, "future_wait": 3, "future_set": 5,
    "future_callback": 2, "call_soon": 3, "call_later": 3, "stop": 0.2, "lock": 4, "semaphore": 3, "event_wait": 2,
    "event_set": 3, "put": 4, "get": 3, "put_nowait": 2, "queue_join": 0.5, "barrier": 0.7, "condition_wait": 0.7,
    "notify": 2, "queue_shutdown": 0.4,
}  # fmt: skip

# What mostly waits: it stands in the block of `cancelled_at`.
WAITING = {
    "sleep", "yield", "lock", "semaphore", "event_wait", "get", "put", "join", "gather", "wait", "wait_for", "timeout",
    "group", "barrier", "condition_wait", "shield", "future_wait", "as_completed", "queue_join",
}  # fmt: skip

# What may wait for ever: mostly done with a timeout around it.
BLOCKING = {"future_wait", "event_wait", "get", "barrier", "condition_wait", "queue_join"}

OBJECTS = 3  # of each kind that tasks share
NAMES = list("abcdefghijklmnopqrstuvwxyz")


class Generator:
    """Makes one program."""

    def __init__(self, seed: int, avoid: frozenset[str]) -> None:
        self.rng = random.Random(seed)
        self.kinds = [kind for kind in KINDS if kind not in avoid]
        self.actions = [kind for kind in ACTIONS if kind not in avoid]
        self.may_be_eager = "eager" not in avoid
        self.bodies = 0
        self.pauses = 0
        self.room = self.rng.randrange(4, 60)  # statements that may still be made

    def program(self) -> Body:
        """Some tasks side by side, and a main coroutine that does something with them."""
        self.bodies = 1
        spawned = [["spawn", self.body(1), self.a_eager(1)] for _ in range(self.rng.randrange(4))]
        return ["main", spawned + self.block(0, self.rng.randrange(2, 7))]

    def body(self, depth: int) -> Body:
        name = name_of_body(self.bodies)
        self.bodies += 1
        return [name, self.block(depth, self.rng.randrange(1, 6))]

    def block(self, depth: int, length: int) -> list[Statement]:
        return [self.statement(depth) for _ in range(length) if self.room > 0]

    def statement(self, depth: int, kinds: list[str] | None = None) -> Statement:
        self.room -= 1
        kinds = self.kinds if kinds is None else kinds
        flat = [kind for kind in kinds if depth < 5 or not {"block", "body", "bodies", "targets"} & {*KINDS[kind]}]
        kind = self.rng.choices(flat, [WEIGHTS.get(kind, 1) for kind in flat])[0]
        statement = [kind, *(getattr(self, f"a_{argument}")(depth + 1) for argument in KINDS[kind])]
        if kind == "cancelled_at" and depth < 5:
            waiting = [kind for kind in self.kinds if kind in WAITING]
            statement[2] += [self.statement(depth + 1, waiting) for _ in range(self.rng.randrange(1, 3))]
        if kind in BLOCKING and self.rng.random() < 0.7:
            statement = ["timeout", self.a_pause(depth), [statement]]
            if self.rng.random() < 0.8:
                statement = ["try", [statement], "Exception", [], []]
        return statement

    # -- arguments

    def a_body(self, depth: int) -> Body:
        return self.body(depth)

    def a_bodies(self, depth: int) -> list[Body]:
        return [self.body(depth) for _ in range(self.rng.randrange(4))]

    def a_block(self, depth: int) -> list[Statement]:
        return self.block(depth, self.rng.choice((0, 1, 1, 2, 3)))

    def a_task(self, depth: int) -> str:
        # The name of a body that exists, preferably a late one, or of one that is made later.
        return name_of_body(max(0, self.bodies + 1 - int(self.rng.expovariate(0.3))))

    def a_tasks(self, depth: int) -> list[str]:
        return [self.a_task(depth) for _ in range(self.rng.randrange(1, 4))]

    def a_target(self, depth: int) -> Any:
        choice = self.rng.random()
        if choice < 0.5 and depth < 5:
            return self.body(depth)
        return self.a_task(depth) if choice < 0.85 else self.a_future(depth)

    def a_targets(self, depth: int) -> list[Any]:
        return [self.a_target(depth) for _ in range(self.rng.randrange(4))]

    def a_pause(self, depth: int) -> list[int]:
        self.pauses += 1
        return [self.rng.choice((0, 0, 1, 1, 2, 3, 5)), self.pauses]

    def a_patience(self, depth: int) -> list[int] | None:
        return None if self.rng.random() < 0.4 else self.a_pause(depth)

    def a_impatience(self, depth: int) -> list[Any] | None:
        return [0, None] if self.rng.random() < 0.1 else self.a_patience(depth)

    def a_action(self, depth: int) -> Statement:
        return self.statement(depth, self.actions)

    def a_message(self, depth: int) -> str | None:
        return self.rng.choice((None, None, None, "msg"))

    def a_eager(self, depth: int) -> bool:
        return self.may_be_eager and self.rng.random() < 0.2

    def a_error(self, depth: int) -> str:
        return self.rng.choices(("Boom", "CancelledError", "BaseBoom", "KeyboardInterrupt"), (20, 4, 2, 1))[0]

    def a_caught(self, depth: int) -> str | None:
        return self.rng.choice(("Exception", "CancelledError", "BaseException", None))

    def a_when(self, depth: int) -> str:
        return self.rng.choice(("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))

    def a_number(self, depth: int) -> int:
        return self.rng.randrange(1, 6)

    def a_future(self, depth: int) -> int:
        return self.rng.randrange(OBJECTS)

    a_event = a_lock = a_semaphore = a_condition = a_barrier = a_queue = a_value = a_future

    def a_immediate(self, depth: int) -> bool:
        return self.rng.random() < 0.5

    a_return_exceptions = a_immediate


def name_of_body(number: int) -> str:
    """Return the name of the `number`th body, 0 being the main one."""
    if number == 0:
        return "main"
    return f"{NAMES[(number - 1) % 26]}{(number - 1) // 26 or ''}"


def generate(seed: int, avoid: frozenset[str] = frozenset()) -> Body:
    """Return the program of `seed`, without the kinds of statements in `avoid`."""
    return Generator(seed, avoid).program()


def kinds_in(part: Any) -> set[str]:
    """Return the kinds of statements in a program, or in a part of one.

    `eager` is among them if a task starts eagerly, `counted_barrier` if how often a task waits at a barrier is counted.
    """
    if not isinstance(part, list):
        return set()
    found: set[str] = set()
    if part and isinstance(part[0], str) and part[0] in KINDS and is_statement(part):
        found.add(part[0])
        if part[0] == "spawn" and part[2]:
            found.add("eager")
    found.update(*map(kinds_in, part))
    if part and part[0] == "cancelled_at" and "barrier" in found:
        found.add("counted_barrier")
    return found


def is_statement(part: list[Any]) -> bool:
    return len(part) == 1 + len(KINDS[part[0]])


# -- showing -----------------------------------------------------------------------------------------------------------


def show(program: Body) -> str:
    """Return a program as text."""
    return "\n".join(body_lines(program))


def body_lines(body: Body, indent: str = "") -> Iterator[str]:
    yield f"{indent}async def {body[0]}:"
    yield from block_lines(body[1], indent + "    ")


def block_lines(block: list[Statement], indent: str) -> Iterator[str]:
    if not block:
        yield indent + "pass"
    for statement in block:
        yield from statement_lines(statement, indent)


def statement_lines(statement: Statement, indent: str) -> Iterator[str]:
    kind, *values = statement
    words, inside = [], []
    for argument, value in zip(KINDS[kind], values):
        if argument == "block":
            inside.append(list(block_lines(value, indent + "    ")))
        elif argument in ("body", "bodies", "target", "targets"):
            bodies = value if argument in ("bodies", "targets") else [value]
            words.append("{" + ", ".join(part[0] if isinstance(part, list) else name(part) for part in bodies) + "}")
            inside.extend(list(body_lines(part, indent + "    ")) for part in bodies if isinstance(part, list))
        elif argument == "action":
            words.append("do:")
            inside.append(list(statement_lines(value, indent + "    ")))
        else:
            words.append(pause_word(value) if argument in ("pause", "patience", "impatience") else str(value))
    yield f"{indent}{' '.join([kind, *words])}"
    for number, lines in enumerate(inside):
        if kind == "try" and number:
            yield f"{indent}{f'except {values[1]}:' if number == 1 else 'finally:'}"
        yield from lines


def name(part: Any) -> str:
    return f"future {part}" if isinstance(part, int) else part


def pause_word(pause: list[Any] | None) -> str:
    if pause is None:
        return "for ever"
    return "0" if pause[1] is None else f"{pause[0]}+ε{pause[1]}"


# -- shrinking ---------------------------------------------------------------------------------------------------------


def smaller(program: Body) -> Iterator[Body]:
    """Yield programs that are a little smaller: a statement less, or a compound one replaced by what is in it."""
    for block in smaller_blocks(program[1]):
        yield [program[0], block]


def smaller_blocks(block: list[Statement]) -> Iterator[list[Statement]]:
    for size in (len(block) // 2, 1):
        if size:
            for start in range(0, len(block), size):
                yield block[:start] + block[start + size :]
    for index, statement in enumerate(block):
        for replacement in smaller_statements(statement):
            yield [*block[:index], *replacement, *block[index + 1 :]]


def smaller_statements(statement: Statement) -> Iterator[list[Statement]]:
    """Yield lists of statements that may take the place of one."""
    kind, *values = statement
    for place, (argument, value) in enumerate(zip(KINDS[kind], values), 1):
        if argument == "block":
            yield value
        for changed in smaller_values(argument, value):
            yield [[*statement[:place], changed, *statement[place + 1 :]]]


def smaller_values(argument: str, value: Any) -> Iterator[Any]:
    if argument == "block":
        yield from smaller_blocks(value)
    elif argument == "action":
        yield ["log"]
        for statements in smaller_statements(value):
            if len(statements) == 1 and statements[0][0] in ACTIONS:
                yield statements[0]
    elif argument in ("body", "target") and isinstance(value, list):
        yield from smaller(value)
    elif argument in ("bodies", "targets", "tasks"):
        for index, part in enumerate(value):
            yield value[:index] + value[index + 1 :]
            if isinstance(part, list):
                for less in smaller(part):
                    yield [*value[:index], less, *value[index + 1 :]]
    elif argument in ("patience", "impatience") and value is not None:
        yield None
    elif argument in ("eager", "return_exceptions") and value:
        yield False
    elif argument == "message" and value is not None:
        yield None
