"""The numbers of `stats` in the text form that Prometheus reads; whoever serves HTTP serves them."""

from __future__ import annotations

from collections.abc import Iterator

from .counters import LoopStats, stats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# name: kind, help, and what it is of a loop.
_METRICS: dict[str, tuple[str, str, str | tuple[str, ...]]] = {
    "time_seconds_total": ("counter", "Seconds the loop was busy or idle.", ("busy", "idle")),
    "turns_total": ("counter", "Turns of the loop.", "turns"),
    "looks_total": ("counter", "How often the loop asked the kernel.", "looks"),
    "delay_max_seconds": ("gauge", "The longest time from one look at the kernel to the next.", "longest"),
    "tasks": ("gauge", "Tasks that are not done.", ("ready", "waiting")),
    "ready": ("gauge", "Callbacks and tasks that stand in line.", "ready"),
    "timers": ("gauge", "Timers that wait.", "timers"),
    "transports": ("gauge", "Open transports.", "transports"),
    "executor_threads": ("gauge", "Threads of the default executor.", "executor_threads"),
    "executor_queued": ("gauge", "Calls that wait for a thread of the default executor.", "executor_queued"),
}


# Of the process: the name of the field, and what it counts.
_COUNTERS = {
    "tasks_created": "Tasks that were made.",
    "stalls": "Times that a watcher saw a loop blocked by the program.",
    "descheduled": "Times that a watcher saw a loop that the machine did not let run.",
}


def prometheus() -> str:
    """Return the numbers of this process as Prometheus's text: `cede_eventloop_...`, a label for each loop."""
    numbers = stats()
    lines = []
    for name, (kind, words, fields) in _METRICS.items():
        lines += _head(f"cede_eventloop_{name}", kind, words)
        for index, loop in enumerate(numbers.loops):
            lines += _lines(f"cede_eventloop_{name}", index, loop, fields)
    lines += _head("cede_eventloop_delay_seconds", "histogram", "Time from one look at the kernel to the next.")
    for index, loop in enumerate(numbers.loops):
        lines += _histogram("cede_eventloop_delay_seconds", index, loop)
    for name, words in _COUNTERS.items():
        lines += _head(f"cede_{name}_total", "counter", words)
        lines += [f"cede_{name}_total {getattr(numbers, name)}"]
    lines += _head("cede_recorder_records_total", "counter", "Records that the recorder wrote.")
    lines += [f"cede_recorder_records_total {numbers.records}"]
    lines += _head("cede_recorder_bytes", "gauge", "Bytes of the recorder's rings.")
    lines += [f"cede_recorder_bytes {numbers.record_bytes}"]
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def _lines(name: str, index: int, loop: LoopStats, fields: str | tuple[str, ...]) -> Iterator[str]:
    if isinstance(fields, str):
        yield f'{name}{{loop="{index}"}} {getattr(loop, fields)!r}'
        return
    for state in fields:
        value = getattr(loop, f"tasks_{state}" if name.endswith("_tasks") else state)
        yield f'{name}{{loop="{index}",state="{state}"}} {value!r}'


def _histogram(name: str, index: int, loop: LoopStats) -> Iterator[str]:
    seen = 0
    for bound, count in loop.delays[:-1]:
        seen += count
        yield f'{name}_bucket{{loop="{index}",le="{bound:.9g}"}} {seen}'
    seen += loop.delays[-1][1]
    yield f'{name}_bucket{{loop="{index}",le="+Inf"}} {seen}'
    yield f'{name}_sum{{loop="{index}"}} {loop.busy!r}'
    yield f'{name}_count{{loop="{index}"}} {seen}'
