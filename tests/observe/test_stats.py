"""Numbers of a process: by a call, as Prometheus's text, and by OpenTelemetry's own SDK."""

from __future__ import annotations

import re
import time

import pytest

import cede
from cede import observe
from cede.observe.counters import stats

pytestmark = pytest.mark.cede_only("only cede's loops count")


def of(loop, numbers=None):
    """The numbers of one loop, known by its thread."""
    (found,) = [one for one in (numbers or stats()).loops if one.thread == loop._thread_id]
    return found


async def test_time_is_busy_or_idle_in_seconds(loop):
    await cede.sleep(0.001)
    before, began = of(loop), time.monotonic()
    time.sleep(0.03)
    await cede.sleep(0.05)
    passed = time.monotonic() - began
    numbers = of(loop).since(before)
    assert numbers.busy >= 0.03
    assert numbers.idle >= 0.045
    assert numbers.busy + numbers.idle == pytest.approx(passed, rel=0.2)
    assert 0 < numbers.utilization < 1
    assert numbers.turns >= 1 and numbers.looks >= 1


async def test_a_long_stretch_is_a_long_delay(loop):
    before = of(loop)
    time.sleep(0.04)
    await cede.sleep(0.001)
    numbers = of(loop).since(before)
    assert numbers.longest >= 0.04
    assert 0.04 <= numbers.delay(1.0) <= 0.16
    assert sum(count for _, count in numbers.delays) == numbers.looks
    assert numbers.delay(0.0) <= numbers.delay(0.5) <= numbers.delay(1.0)


async def test_what_waits_is_counted(loop):
    before = of(loop)
    tasks = [cede.create_task(cede.sleep(60)) for _ in range(5)]
    assert of(loop).ready - before.ready == 5
    assert (of(loop).tasks_waiting, of(loop).tasks_ready - before.tasks_ready) == (0, 5)
    await cede.sleep(0)
    await cede.to_thread(time.sleep, 0)
    numbers = of(loop)
    assert numbers.tasks - before.tasks == 5
    assert (numbers.tasks_waiting, numbers.tasks_ready) == (5, numbers.tasks - 5)
    assert numbers.timers - before.timers == 5
    assert numbers.executor_threads == 1 and numbers.executor_queued == 0
    for task in tasks:
        task.cancel()
    await cede.wait(tasks)


async def test_a_new_loop_has_numbers_and_a_closed_one_none(loop):
    before = len(stats().loops)
    other = cede.new_event_loop()
    numbers = stats()
    assert len(numbers.loops) == before + 1
    (fresh,) = [one for one in numbers.loops if one.looks == 0]
    assert (fresh.delay(0.99), fresh.mean_delay, fresh.utilization) == (0.0, 0.0, 0.0)
    other.close()
    assert len(stats().loops) == before
    assert numbers.as_dict()["loops"][0].keys() >= {"busy", "idle", "turns"}


async def test_tasks_made_and_stalls_are_counted(loop):
    before = stats()
    await cede.gather(*[cede.sleep(0) for _ in range(7)])
    assert stats().tasks_created - before.tasks_created == 7
    with observe.watch(0.02, lambda stall: None):
        await cede.sleep(0.1)
        time.sleep(0.2)
        await cede.sleep(0.05)
    after = stats()
    seen = after.stalls + after.descheduled - before.stalls - before.descheduled
    assert seen >= 1
    text = observe.prometheus()
    assert f"cede_tasks_created_total {after.tasks_created}\n" in text
    assert f"cede_stalls_total {after.stalls}\n" in text
    assert f"cede_descheduled_total {after.descheduled}\n" in text
    assert re.search(r'cede_eventloop_tasks\{loop="\d+",state="ready"\} [1-9]', text)


async def test_prometheus_text(loop):
    await cede.sleep(0.002)
    text = observe.prometheus()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.einf]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    families = re.findall(r"# TYPE (\S+)", text)
    assert len(families) == len(set(families))
    buckets = [int(number) for number in re.findall(r'delay_seconds_bucket\{loop="0",le="[^"]+"\} (\d+)', text)]
    assert buckets == sorted(buckets) and len(buckets) > 20


async def test_opentelemetry(loop):
    pytest.importorskip("opentelemetry.sdk.metrics", reason="only where OpenTelemetry is installed")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from cede.observe import otel

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    otel.instrument(provider)
    try:
        for _ in range(2):
            await cede.sleep(0.002)
            data = reader.get_metrics_data()
        (found,) = data.resource_metrics[0].scope_metrics
        points = {metric.name: list(metric.data.data_points) for metric in found.metrics}
        assert {point.attributes["state"] for point in points["cede.eventloop.tasks"]} == {"ready", "waiting"}
        assert points["cede.tasks.created"][0].value == stats().tasks_created > 0
        assert points["cede.stalls"][0].value >= 0
        assert {point.attributes["state"] for point in points["cede.eventloop.time"]} == {"busy", "idle"}
        assert 0 <= points["cede.eventloop.utilization"][0].value <= 1
        assert points["cede.eventloop.delay.max"][0].value > 0
        assert all(name.startswith("cede.") for name in points)
    finally:
        provider.shutdown()
