"""The numbers of `stats` as OpenTelemetry's observable instruments; `pip install cede[otel]`.

They are read when the program's own exporter asks. No instrument takes a histogram that is counted already, so the
delays come as gauges: mean, p50, p90, p99 and max, as Node's do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from .counters import LoopStats, stats

_GAUGES: dict[str, tuple[str, str, Callable[[LoopStats], float]]] = {
    "ready": ("{callback}", "Callbacks and tasks that stand in line", lambda loop: loop.ready),
    "timers": ("{timer}", "Timers that wait", lambda loop: loop.timers),
    "transports": ("{transport}", "Open transports", lambda loop: loop.transports),
    "executor.threads": ("{thread}", "Threads of the default executor", lambda loop: loop.executor_threads),
    "executor.queued": ("{call}", "Calls that wait for a thread of it", lambda loop: loop.executor_queued),
    "utilization": ("1", "The part of the time in which the loop was busy", lambda loop: loop.utilization),
    "delay.mean": ("s", "From one look at the kernel to the next", lambda loop: loop.mean_delay),
    "delay.p50": ("s", "From one look at the kernel to the next", lambda loop: loop.delay(0.50)),
    "delay.p90": ("s", "From one look at the kernel to the next", lambda loop: loop.delay(0.90)),
    "delay.p99": ("s", "From one look at the kernel to the next", lambda loop: loop.delay(0.99)),
    "delay.max": ("s", "From one look at the kernel to the next, since the loop was made", lambda loop: loop.longest),
}
_RECENT = {"utilization", "delay.mean", "delay.p50", "delay.p90", "delay.p99"}  # since the last reading

_PROCESS = (
    ("tasks_created", "{task}", "Tasks that were made"),
    ("stalls", "{stall}", "Times that a watcher saw a loop blocked by the program"),
    ("descheduled", "{stall}", "Times that a watcher saw a loop that the machine did not let run"),
)


def _counted(metrics: Any, name: str) -> Callable[[Any], Iterable[Any]]:
    return lambda options: [metrics.Observation(getattr(stats(), name))]


def instrument(meter_provider: Any = None) -> None:
    """Register instruments named `cede.eventloop.…` with a meter provider, by default the global one.

    ModuleNotFoundError without opentelemetry-api.
    """
    metrics: Any = importlib.import_module("opentelemetry.metrics")
    meter = metrics.get_meter("cede", meter_provider=meter_provider)

    def observed(read: Callable[[LoopStats], float], recent: bool, **attributes: str) -> Callable[[Any], Iterable[Any]]:
        before: tuple[LoopStats, ...] = ()

        def observe(options: Any) -> Iterable[Any]:
            nonlocal before
            now = stats().loops
            for index, loop in enumerate(now):
                if recent and len(before) == len(now) and loop.looks > before[index].looks:
                    loop = loop.since(before[index])
                yield metrics.Observation(read(loop), {"loop": index, **attributes})
            before = now

        return observe

    for name, (unit, words, read) in _GAUGES.items():
        meter.create_observable_gauge(f"cede.eventloop.{name}", [observed(read, name in _RECENT)], unit, words)
    meter.create_observable_gauge(
        "cede.eventloop.tasks",
        [
            observed(lambda loop: loop.tasks_ready, False, state="ready"),
            observed(lambda loop: loop.tasks_waiting, False, state="waiting"),
        ],
        "{task}",
        "Tasks that are not done",
    )
    for name, unit, words in _PROCESS:
        meter.create_observable_counter(f"cede.{name.replace('_', '.')}", [_counted(metrics, name)], unit, words)
    meter.create_observable_counter(
        "cede.eventloop.time",
        [
            observed(lambda loop: loop.busy, False, state="busy"),
            observed(lambda loop: loop.idle, False, state="idle"),
        ],
        "s",
        "Seconds the loop was busy or idle",
    )
    meter.create_observable_counter(
        "cede.eventloop.turns", [observed(lambda loop: loop.turns, False)], "{turn}", "Turns of the loop"
    )
