"""What a recording tells beside steps: bytes, cancellations, stalls, other threads; and when it is kept by itself."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from typing import Any

import pytest

import cede
from cede import observe
from cede.observe import recorder, schema
from cede.observe.chrome import as_json
from cede.observe.page import as_html
from cede.observe.turns import Teller
from tests.observe.recordings import recorded

pytestmark = [pytest.mark.cede_only("only cede's loops are recorded"), pytest.mark.usefixtures("folder")]


def of_kind(recording: schema.Recording, *kinds: str) -> list[schema.Event]:
    return [event for event in recording.events if event.kind in kinds]


def told(recording: schema.Recording) -> str:
    teller = Teller()
    return "\n".join([*teller.lines(recording), *teller.rest()])


def in_all_forms(recording: schema.Recording) -> list[str]:
    """Return the recording in words, as JSON that is read back, and as a page."""
    trace = json.loads(as_json(recording))
    names = "\n".join(entry["name"] for entry in trace["traceEvents"])
    return [told(recording), names, as_html(recording)]


def test_a_callback_that_fails():
    def fails():
        raise ZeroDivisionError

    def works():
        pass

    async def main():
        loop = cede.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.call_soon(fails)
        loop.call_soon(works)
        loop.call_soon_threadsafe(fails)
        await cede.sleep(0)

    recording = recorded(main)
    calls = [(event.name.function.rpartition(".")[2], event.how) for event in of_kind(recording, "call")]
    assert calls[:3] == [("fails", "failed"), ("works", "ok"), ("fails", "failed")]
    assert "fails ran" in told(recording) and ", and failed" in told(recording)


def test_bytes_of_connections_and_pipes():
    sizes = (1, 1000, 300_000)

    class Answers(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    async def main():
        loop = cede.get_running_loop()
        server = await loop.create_server(Answers, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        reader, writer = await cede.open_connection(host, port)
        for size in sizes:
            writer.write(bytes(size))
            await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
        server.close()
        await cede.sleep(0.01)
        receiving, sending = os.pipe()
        stream = cede.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: cede.StreamReaderProtocol(stream), os.fdopen(receiving, "rb", 0)
        )
        out, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(sending, "wb", 0))
        out.write(b"12345")
        await stream.readexactly(5)
        out.close()
        transport.close()
        await cede.sleep(0.01)

    recording = recorded(main)
    moved: dict[str, int] = {}
    for event in of_kind(recording, "bytes"):
        moved[event.how] = moved.get(event.how, 0) + event.on
    assert moved["in"] == moved["out"] == 2 * sum(sizes) + 5
    ends = [event.how for event in of_kind(recording, "bytes") if event.how not in ("in", "out")]
    assert ends.count("accepted") == 1 and ends.count("closed") + ends.count("lost") == 4
    for text in in_all_forms(recording):
        assert "bytes in" in text and "is accepted" in text and "is closed" in text


@pytest.mark.parametrize("library", [asyncio, cede])
def test_who_cancels(library):
    async def sleeps():
        await library.sleep(9)

    async def cancels(task):
        task.cancel()

    async def in_time():
        async with library.timeout(0.001):
            await library.sleep(9)

    async def fails():
        await library.sleep(0)
        raise ZeroDivisionError

    async def in_group():
        async with library.TaskGroup() as group:
            group.create_task(sleeps(), name="grouped")
            group.create_task(fails())

    async def main():
        loop = cede.get_running_loop()
        by_task = loop.create_task(sleeps(), name="by task")
        by_callback = loop.create_task(sleeps(), name="by callback")
        await library.sleep(0)
        await loop.create_task(cancels(by_task), name="canceller")
        loop.call_soon(by_callback.cancel)
        await library.wait([by_task, by_callback])
        late = loop.create_task(in_time(), name="late")
        await library.wait([late])
        group = loop.create_task(in_group(), name="group")
        await library.wait([group])
        late.exception(), group.exception()

    recording = recorded(main)
    labels = {number: task.name for number, task in recording.tasks.items()}
    by = {labels[event.who]: event for event in of_kind(recording, "cancel")}
    assert {name: event.how for name, event in by.items() if name != "group"} == {
        "by task": "task", "by callback": "callback", "late": "timeout", "grouped": "group",
    }  # fmt: skip
    assert labels[by["by task"].woken_by] == "canceller"
    assert by["by task"].name.function.endswith("cancels") and by["by task"].name.file == __file__
    for text in in_all_forms(recording):
        assert "is cancelled by canceller" in text and "is cancelled by a timeout" in text


def test_what_comes_from_other_threads():
    async def main():
        loop = cede.get_running_loop()
        done = loop.create_future()

        def other():
            loop.call_soon_threadsafe(int)
            loop.call_soon_threadsafe(done.set_result, None)

        thread = threading.Thread(target=other)
        thread.start()
        await done
        thread.join()

    recording = recorded(main)
    assert sum(event.on for event in of_kind(recording, "incoming")) == 2
    for text in in_all_forms(recording):
        assert "from other threads or signals" in text


def test_who_has_a_lock_for_how_long():
    async def main(library):
        lock = library.Lock()

        async def uses(seconds):
            async with lock:
                await library.sleep(seconds)

        async with library.TaskGroup() as group:
            for number, seconds in enumerate((0.02, 0.01, 0.001)):
                group.create_task(uses(seconds), name=f"user {number}")

    for library in (asyncio, cede):
        recording = recorded(lambda library=library: main(library))
        held = [(recording.tasks[event.who].name, event.ran) for event in schema.holdings(recording)]
        assert [name for name, _ in held] == ["user 0", "user 1"]
        assert held[0][1] >= 0.019 and held[1][1] >= 0.009
        trace = json.loads(as_json(recording))
        assert any("is held by user 1" in entry["name"] for entry in trace["traceEvents"])


def test_a_lock_that_is_never_given_back():
    async def main():
        lock = cede.Lock()
        await lock.acquire()
        task = cede.create_task(lock.acquire(), name="waits")
        await cede.sleep(0.01)
        task.cancel()

    recording = recorded(main)
    (wait,) = [event for event in of_kind(recording, "wait") if event.how == "lock"]
    assert wait.resource.startswith("lock ")


def test_a_stall_stands_in_the_recording_and_it_is_kept(folder, caplog, monkeypatch):
    caplog.set_level(logging.CRITICAL + 1, "asyncio")
    monkeypatch.setattr(recorder, "_last_dump", -60.0)  # other tests may have kept something within this minute

    async def blocks():
        time.sleep(0.6)

    async def main():
        await cede.sleep(0.05)
        await cede.create_task(blocks(), name="blocks")
        await cede.sleep(0.01)

    with observe.watch(0.05):
        recording = recorded(main, file=True)
    (stall,) = of_kind(recording, "stall")
    assert recording.tasks[stall.who].name == "blocks"
    assert 0.5 <= stall.ran < 5
    for text in in_all_forms(recording):
        assert "the loop was blocked for " in text and " by blocks" in text
    (kept,) = folder.glob("*-stall.dump")
    assert kept.stat().st_mode & 0o777 == 0o600
    during = schema.read(str(kept))
    assert during.header["stalled_since"] or of_kind(during, "stall")  # the copy may come late on a busy machine
    assert recording.header["stalled_since"] == 0


def test_what_led_to_an_error_that_nobody_caught_is_kept_once_a_minute(folder, monkeypatch):
    monkeypatch.setattr(recorder, "_last_dump", -60.0)

    async def main():
        loop = cede.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        for _ in range(3):
            loop.call_soon(int, "x")
            await cede.sleep(0.1)

    recorded(main, file=True)
    (kept,) = folder.glob("*.dump")
    assert kept.name.endswith("-exception.dump")
    assert [event.how for event in of_kind(schema.read(str(kept)), "call")][:1] == ["failed"]
    assert "cede-dump" not in [thread.name for thread in threading.enumerate()]


def test_nothing_is_kept_where_the_recording_is_no_file(folder):
    async def main():
        cede.get_running_loop().set_exception_handler(lambda loop, context: None)
        cede.get_running_loop().call_soon(int, "x")
        await cede.sleep(0)

    recorded(main)
    assert not folder.exists() or not list(folder.glob("*.dump"))


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ("16MiB", (16 << 20, 0.0)),
        ("64MiB,30s", (64 << 20, 30.0)),
        ("30s", (16 << 20, 30.0)),
        ("2min, 1MiB", (1 << 20, 120.0)),
        ("1h", (16 << 20, 3600.0)),
        ("16m", (16 << 20, 0.0)),
    ],
)
def test_limits_in_words(words: str, limits: tuple[int, float]) -> None:
    assert recorder.parse_limit(words) == limits


@pytest.mark.parametrize("words", ["30 apples", "s", "0s", "1MiB,", "-5s", "1e3s"])
def test_limits_that_make_no_sense(words: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        recorder.parse_limit(words)


def test_only_the_last_seconds_are_shown():
    async def main():
        observe.mark("long ago")
        await cede.sleep(1.2)
        observe.mark("just now")

    recording = recorded(main, size="1MiB,1s")
    assert [event.text for event in of_kind(recording, "mark")] == ["just now"]
    assert recording.dropped > 0 and recording.length <= 1.3
    (task,) = recording.tasks.values()
    assert task.name.startswith("Task-")


def test_numbers_of_a_kind_agree_with_the_engine() -> None:
    from cede.observe import stock_waits

    places: Any = stock_waits._CANCELS
    assert {schema.CANCELS[what] for _, _, what in places} == {"timeout", "group", "signal", "runner"}
    assert all(getattr(home, name, None) is not None for home, name, _ in places)
