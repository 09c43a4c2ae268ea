"""The recorder: what loops did, told truly, also by a process that was killed, and by one that still runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import mmap
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import cede
from cede import observe
from cede.observe import recorder, schema
from tests.observe.recordings import recorded, steps_of

pytestmark = [pytest.mark.cede_only("only cede's loops are recorded"), pytest.mark.usefixtures("folder")]


def test_each_step_stands_there_once_with_its_end_and_who_woke_it():
    async def child(future):
        await cede.sleep(0)
        return await future

    async def main():
        future = cede.get_running_loop().create_future()
        task = cede.create_task(child(future), name="child")
        await cede.sleep(0)
        await cede.sleep(0)
        future.set_result(1)
        with contextlib.suppress(ZeroDivisionError):
            await cede.create_task(fails(), name="fails")
        cancelled = cede.create_task(cede.sleep(9), name="cancelled")
        await cede.sleep(0)
        cancelled.cancel()
        await cede.wait([cancelled])
        await task

    async def fails():
        return 1 / 0

    recording = recorded(main)
    labels = {number: task.name for number, task in recording.tasks.items()}
    child_steps = steps_of(recording, "child")
    assert [step.how for step in child_steps] == ["scheduled", "waiting", "done"]
    main_number = next(n for n, task in recording.tasks.items() if task.coroutine.function.endswith("main"))
    assert [step.woken_by for step in child_steps] == [main_number, child_steps[0].who, main_number]
    assert [step.how for step in steps_of(recording, "fails")] == ["failed"]
    assert [step.how for step in steps_of(recording, "cancelled")] == ["waiting", "cancelled"]
    assert recording.tasks[child_steps[0].who].coroutine.file == __file__
    assert recording.tasks[child_steps[0].who].parent == main_number
    awaited = [step.on for step in recording.events if step.kind == "step" and step.who == main_number and step.on]
    assert [labels[number] for number in awaited] == ["fails"]
    assert not recording.problems


def test_time_is_whole_and_in_order():
    """Steps, calls, sleeps and deliveries do not overlap, and leave next to nothing out."""

    async def main():
        loop = cede.get_running_loop()
        for number in range(50):
            loop.call_soon(sum, range(1000))
            await cede.sleep(0.0005 * (number % 3))

    recording = recorded(main)
    parts = [event for event in recording.events if event.kind in ("step", "call", "sleep", "deliver")]
    for earlier, later in itertools.pairwise(parts):
        assert later.end >= earlier.end
        assert later.begin >= earlier.end - 2e-6
    told = sum(event.ran for event in parts)
    assert told >= 0.8 * (parts[-1].end - parts[0].begin)
    for event in recording.events:
        if event.kind == "step":
            assert event.queued >= 0


def test_a_step_waits_in_line_behind_one_that_takes_long():
    async def slow():
        await cede.sleep(0)
        time.sleep(0.03)

    async def late():
        await cede.sleep(0)
        await cede.sleep(0)

    async def main():
        await cede.gather(cede.create_task(slow(), name="slow"), cede.create_task(late(), name="late"))

    recording = recorded(main)
    assert max(step.ran for step in steps_of(recording, "slow")) >= 0.03
    assert max(step.queued for step in steps_of(recording, "late")) >= 0.03


def test_callbacks_have_names_and_names_are_kept_once():
    def own():
        pass

    async def main():
        loop = cede.get_running_loop()
        for _ in range(100):
            loop.call_soon(own)
            loop.call_soon([].append, 1)
        await cede.sleep(0)
        await cede.sleep(0)

    recording = recorded(main)
    calls = [event.name.function for event in recording.events if event.kind == "call"]
    assert calls.count("test_callbacks_have_names_and_names_are_kept_once.<locals>.own") == 100
    assert calls.count("list.append") == 100


@pytest.mark.parametrize("library", [asyncio, cede])
def test_on_what_a_task_waits(library, socket_pair):
    """Of asyncio's own locks and queues as of cede's."""
    ours, theirs = socket_pair

    async def main():
        loop = cede.get_running_loop()
        lock, semaphore, event, condition = (
            library.Lock(),
            library.Semaphore(),
            library.Event(),
            library.Condition(None),
        )
        few, none = library.Queue(1), library.Queue()

        async def keeps(held):
            async with held:
                await library.sleep(0.002)

        async def enters(held):
            async with held:
                pass

        async def is_told():
            async with condition:
                await condition.wait()

        async def group():
            async with library.TaskGroup() as tasks:
                tasks.create_task(library.sleep(0.001))

        few.put_nowait(1)
        reader, writer = await cede.open_connection(sock=ours)
        waits = {
            "holder": keeps(lock), "lock": enters(lock), "other": keeps(semaphore), "semaphore": enters(semaphore),
            "event": event.wait(), "condition": is_told(), "queue get": none.get(), "queue put": few.put(2),
            "sleep": library.sleep(0.001), "executor": loop.run_in_executor(None, time.sleep, 0.05),
            "resolve": loop.getaddrinfo("localhost", 80), "read": reader.read(1), "tasks": group(),
        }  # fmt: skip
        tasks = {
            name: loop.create_task(wait if asyncio.iscoroutine(wait) else awaits(wait), name=name)
            for name, wait in waits.items()
        }
        await library.sleep(0.003)
        event.set()
        none.put_nowait(1)
        few.get_nowait()
        theirs.send(b"x")
        async with condition:
            condition.notify()
        for task in tasks.values():
            await task
        writer.close()

    async def awaits(future):
        await future

    recording = recorded(main)
    labels = {number: task.name for number, task in recording.tasks.items()}
    waited = {labels[event.who]: event for event in recording.events if event.kind == "wait"}
    names = (
        "lock",
        "semaphore",
        "event",
        "condition",
        "queue get",
        "queue put",
        "sleep",
        "executor",
        "resolve",
        "read",
        "tasks",
    )
    assert {name: waited[name].how for name in names} == {name: name for name in names}
    assert waited["lock"].resource.startswith("lock ")
    step = next(step for step in steps_of(recording, "lock") if step.how == "waiting")
    assert step.text == waited["lock"].resource and step.end == waited["lock"].end
    numbered = [waited[name].on for name in ("lock", "semaphore", "event", "condition", "queue get", "queue put")]
    assert 0 not in numbered and len(set(numbered)) == 6
    assert not recording.problems


def test_who_has_a_lock_that_others_wait_for():
    async def main():
        lock, semaphore, free = cede.Lock(), cede.Semaphore(1), cede.Lock()

        async def uses(held):
            async with free, held:
                await cede.sleep(0.001)

        async def use(held):
            async with held:
                await cede.sleep(0.001)

        await cede.gather(*[
            cede.create_task(use(held), name=f"{type(held).__name__} {number}")
            for held in (lock, semaphore) for number in (1, 2, 3)
        ])  # fmt: skip
        await uses(cede.Lock())  # for which nobody waits

    recording = recorded(main)
    labels = {number: task.name for number, task in recording.tasks.items()}
    for kind in ("Lock", "Semaphore"):
        told = [
            (event.kind, labels[event.who])
            for event in recording.events
            if event.kind in ("hold", "let go") and event.how == kind.lower()
        ]
        assert told == [
            ("let go", f"{kind} 1"), ("hold", f"{kind} 2"), ("let go", f"{kind} 2"), ("hold", f"{kind} 3"),
        ]  # fmt: skip
    assert len({event.on for event in recording.events if event.kind in ("hold", "let go")}) == 2


def test_words_for_waits_are_those_of_the_engine():
    from cede.engine import waited

    words = {value: name.lower().replace("_", " ") for name, value in vars(waited).items() if name.isupper()}
    del words[waited.BITS], words[waited.FOREIGN]
    assert words == dict(enumerate(schema.WAITS[1:], 1))
    assert schema.FOREIGN == waited.FOREIGN


def test_a_step_that_a_callback_takes_is_a_step():
    """A future of another class wakes a task by a callback."""

    async def main():
        cede.current_task().set_name("main")
        await asyncio.gather(cede.sleep(0), cede.sleep(0))
        await cede.sleep(0)

    recording = recorded(main)
    assert [step.how for step in steps_of(recording, "main")] == ["waiting", "scheduled", "done"]


def test_debug_mode_is_recorded_too():
    async def main():
        cede.get_running_loop().set_debug(True)
        await cede.sleep(0)
        await cede.sleep(0.001)
        cede.get_running_loop().set_debug(False)

    recording = recorded(main)
    (task,) = recording.tasks.values()
    assert [event.how for event in recording.events if event.kind == "step"] == ["scheduled", "waiting", "done"]
    assert task.died is not None


def test_marks_and_the_collector_and_eager_tasks():
    async def eager():
        return 1

    async def main():
        observe.mark("deploy 7 — " + "x" * 100)
        gc.collect()
        await cede.Task(eager(), eager_start=True, name="eager")

    recording = recorded(main)
    (mark,) = [event for event in recording.events if event.kind == "mark"]
    assert mark.text.startswith("deploy 7 — xxx") and len(mark.text.encode()) == 80
    assert [event.how for event in recording.events if event.kind == "collect"][-1] == "generation 2"
    births = [event for event in recording.events if event.kind == "birth"]
    assert [event.how for event in births] == ["", "eager"]
    (task,) = [task for task in recording.tasks.values() if task.name == "eager"]
    assert task.died is not None


def test_names_given_by_the_program_may_be_left_out(monkeypatch):
    monkeypatch.setenv("CEDE_RECORD_NAMES", "0")

    async def main():
        await cede.create_task(cede.sleep(0), name="secret")

    recording = recorded(main)
    assert "secret" not in {task.name for task in recording.tasks.values()}


def test_who_woke_a_task_may_be_a_descriptor(socket_pair):
    async def main():
        loop = cede.get_running_loop()
        ours, theirs = socket_pair
        reader, writer = await cede.open_connection(sock=ours)
        task = cede.create_task(reader.read(1), name="reads")
        await cede.sleep(0)
        loop.call_later(0.01, theirs.send, b"x")
        await task
        writer.close()
        return ours

    recording = recorded(main)
    last = steps_of(recording, "reads")[-1]
    assert last.woken_by & schema.DESCRIPTOR


def test_only_the_newest_is_kept_and_what_is_gone_is_counted():
    async def main():
        for _ in range(5000):
            await cede.sleep(0)

    recording = recorded(main, size=256 * 32)
    assert 200 < len(recording.events) <= 256
    assert recording.dropped >= 4700
    (task,) = recording.tasks.values()
    assert task.died is not None


def test_no_record_holds_an_object(new_loop):
    class Held:
        pass

    async def main():
        import weakref

        held = Held()
        reference = weakref.ref(held)
        await cede.create_task(cede.sleep(0, held))
        cede.get_running_loop().call_soon(id, held)
        await cede.sleep(0)
        del held
        await cede.sleep(0)
        assert reference() is None

    recorded(main)


@pytest.mark.parametrize("debug", [False, True])
def test_a_program_behaves_the_same_while_it_is_recorded(debug):
    """A random program gives the same trace of itself with and without."""

    def run(seed, record):
        rnd = random.Random(seed)
        trace = []

        async def node(depth):
            for index in range(rnd.randrange(1, 4)):
                trace.append((depth, index))
                if depth < 3 and rnd.random() < 0.5:
                    task = cede.create_task(node(depth + 1))
                    if rnd.random() < 0.3:
                        task.cancel()
                    try:
                        await task
                    except cede.CancelledError:
                        trace.append("cancelled")
                else:
                    await cede.sleep(0)

        if record:
            observe.start("1MiB", file=False)
        loop = cede.new_event_loop()
        loop.set_debug(debug)
        try:
            loop.run_until_complete(node(0))
        finally:
            loop.close()
            observe.stop()
        return trace

    for seed in range(30):
        assert run(seed, False) == run(seed, True)


def test_recording_can_begin_and_end_while_a_loop_runs_and_in_two_threads():
    turns = []

    async def main():
        for _ in range(200):
            await cede.sleep(0.0005)
        turns.append(len(recorder.rings()))

    def run():
        loop = cede.new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    observe.start("1MiB", file=False)
    time.sleep(0.05)
    recordings = [schema.decode(*schema.snapshot(memory)) for memory, _ in recorder.rings()]
    observe.stop()
    for thread in threads:
        thread.join()
    assert len(recordings) >= 2
    numbers = [{event.who for event in recording.events if event.kind == "step"} for recording in recordings]
    busy = [found for found in numbers if found]
    assert len(busy) == 2 and not busy[0] & busy[1]
    for recording in recordings:
        assert not recording.problems


# --- Files --------------------------------------------------------------------------------------------


def test_the_file_is_there_while_it_runs_for_its_user_only_and_gone_after(folder):
    loop = cede.new_event_loop()
    observe.start("1MiB")
    (name,) = os.listdir(folder)
    assert name == f"{os.getpid()}-1.ring" or name.startswith(f"{os.getpid()}-")
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    loop.run_until_complete(cede.sleep(0))
    assert schema.read(str(folder / name)).header["pid"] == os.getpid()
    observe.stop()
    assert os.listdir(folder) == []
    loop.close()


def test_a_killed_process_leaves_all_of_it(run_python, folder):
    done = run_python(
        """
        import cede, os, signal
        async def main():
            for _ in range(54):
                await cede.sleep(0)
            os.kill(os.getpid(), signal.SIGKILL)
        print(os.getpid(), flush=True)
        cede.run(main())
        """,
        check=False,
        env={"CEDE_RECORD": "1MiB", "XDG_RUNTIME_DIR": str(folder.parent)},
    )
    assert done.returncode == -signal.SIGKILL
    (name,) = os.listdir(folder)
    assert name.startswith(done.stdout.strip() + "-")
    recording = schema.read(str(folder / name))
    assert [event.how for event in recording.events if event.kind == "step"].count("scheduled") == 54
    assert not recording.dropped


def test_the_rings_of_the_dead_are_kept_but_only_the_last_ones(folder):
    folder.mkdir(mode=0o700)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for index in range(8):
        path = folder / f"{dead.pid}-{index}.ring"
        path.write_bytes(b"")
        os.utime(path, (time.time() - index, time.time() - index))
    (folder / f"{dead.pid}-9.ring").write_bytes(b"")
    os.utime(folder / f"{dead.pid}-9.ring", (1, 1))
    loop = cede.new_event_loop()
    observe.start("1MiB")
    observe.stop()
    loop.close()
    assert sorted(os.listdir(folder)) == [f"{dead.pid}-{index}.ring" for index in range(5)]


def test_a_forked_child_writes_nothing_into_its_parents_ring(run_python, folder):
    done = run_python(
        """
        import cede, os, sys
        from cede.observe import recorder, schema

        async def main():
            await cede.sleep(0)
            pid = os.fork()
            if pid == 0:  # since 3.14 no loop runs any more in the child's thread
                other = cede.new_event_loop()
                names = sorted(os.listdir(os.environ["XDG_RUNTIME_DIR"] + "/cede"))
                assert len(names) == 2 and f"{os.getpid()}-1.ring" in names, names
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            assert status == 0, status
            cede.get_running_loop().call_soon(print, "parent")
            await cede.sleep(0)

        cede.run(main())
        recording = schema.decode(*schema.snapshot(recorder.rings()[0][0]))
        print(len([e for e in recording.events if e.kind == "step" and e.who == 1]))
        """,
        env={"CEDE_RECORD": "1MiB", "XDG_RUNTIME_DIR": str(folder.parent), "PYTHONWARNINGS": "ignore"},
    )
    assert done.stdout.split() == ["parent", "3"]


def test_no_room_is_an_error_at_the_start(monkeypatch, folder):
    def full(fd, begin, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    loop = cede.new_event_loop()
    with pytest.raises(OSError, match="no room for a recording of .* bytes in .*: No space left on device"):
        observe.start("1MiB")
    assert os.listdir(folder) == []
    loop.run_until_complete(cede.sleep(0))
    loop.close()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root mounts a file system")
def test_a_full_file_system_is_an_error_and_not_the_end_of_the_process(run_python, tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        done = run_python(
            "import cede; cede.run(cede.sleep(0)); print('ran')",
            env={"CEDE_RECORD": "16MiB", "XDG_RUNTIME_DIR": str(tmp_path)},
        )
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.stdout == "ran\n"
    assert "No space left on device" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("16 apples", "is no size"),
        ("", "is no size"),
        ("1KiB", "a recording has from"),
        (2**60, "a recording has from"),
    ],
)
def test_sizes_that_make_no_sense(size, words):
    with pytest.raises(ValueError, match=words):
        observe.start(size)


def test_without_a_recording_there_is_nothing_to_dump_or_mark():
    observe.mark("nobody listens")
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        observe.dump("x")


def test_a_dump_on_a_signal(tmp_path, folder):
    loop = cede.new_event_loop()
    before = signal.getsignal(signal.SIGUSR2)
    observe.start("1MiB", file=False)
    try:
        observe.dump_on(signal.SIGUSR2, str(tmp_path))
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR2)
        loop.run_until_complete(cede.sleep(0.01))
    finally:
        signal.signal(signal.SIGUSR2, before)
        observe.stop()
        loop.close()
    (path,) = tmp_path.glob("*.dump")
    assert schema.read(str(path)).events


# --- Whatever is read ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ring() -> bytes:
    observe.start(256 * 32, file=False)
    loop = cede.new_event_loop()

    async def main() -> None:
        await asyncio.gather(*[cede.create_task(cede.sleep(0.001), name=f"task {n}") for n in range(20)])
        observe.mark("a mark")

    loop.run_until_complete(main())
    copy, _ = schema.snapshot(recorder.rings()[-1][0])
    observe.stop()
    loop.close()
    return copy


def test_garbage_is_no_ring_or_is_read_as_far_as_it_goes(ring):
    rnd = random.Random(5)
    for _ in range(150):
        garbled = bytearray(ring)
        for _ in range(rnd.randrange(1, 40)):
            place = rnd.choice(
                [rnd.randrange(256), rnd.randrange(4096, 6000), rnd.randrange(len(ring) - 8192, len(ring))]
            )
            garbled[place] = rnd.randrange(256)
        if rnd.random() < 0.2:
            del garbled[rnd.randrange(len(garbled)) :]
        with contextlib.suppress(schema.NotARing):
            recording = schema.decode(bytes(garbled))
            assert len(recording.events) <= 256
            list(schema.wakes(recording))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, 4095, 4096, 5000, (1 << 20) + 4096])
def test_a_ring_that_is_cut_off(ring, size):
    with pytest.raises(schema.NotARing):
        schema.decode(ring[:size])


def test_a_number_is_written_in_one_store(tmp_path):
    """Interpreted, too: whoever reads the header of another process never sees a part of a number."""
    file = tmp_path / "numbers"
    file.write_bytes(bytes(4096))
    program = """
        import mmap, sys
        from cede.engine import records
        with open(sys.argv[1], "r+b") as file:
            view = memoryview(mmap.mmap(file.fileno(), 4096))
        for number in range(1, 1_000_001):
            records.put_number(view, 0, 32, number)
    """
    environment = {**os.environ, "CEDE_PURE": "1", "PYTHONPATH": str(Path(cede.__file__).parent.parent)}
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 4096, access=mmap.ACCESS_READ) as memory:
        command = [sys.executable, "-c", textwrap.dedent(program), str(file)]
        with memoryview(memory).cast("Q") as numbers, subprocess.Popen(command, env=environment) as writer:
            last = 0
            while writer.poll() is None:
                for _ in range(1000):
                    number = numbers[4]
                    assert number >= last
                    last = number
            assert numbers[4] == 1_000_000
    assert writer.returncode == 0


def test_a_reader_from_outside_sees_no_torn_record(run_python, folder, tmp_path):
    """While the ring is written to, round and round."""
    program = tmp_path / "spin.py"
    program.write_text(
        "import cede, sys\nasync def main():\n    print(1, flush=True)\n    while True: await cede.sleep(0)\ncede.run(main())\n"
    )
    environment = {
        **os.environ,
        "CEDE_RECORD": "32KiB",
        "XDG_RUNTIME_DIR": str(folder.parent),
        "CEDE_PURE": "" if cede.compiled else "1",
        "PYTHONPATH": str(Path(cede.__file__).parent.parent),
    }
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            (path,) = folder.glob("*.ring")
            heads: set[int] = set()
            deadline = time.monotonic() + 15
            while len(heads) < 50 and time.monotonic() < deadline:
                recording = schema.read(str(path))
                heads.add(recording.header["head"])
                assert not recording.problems
                times = [event.end for event in recording.events]
                assert times == sorted(times)
                assert {event.who for event in recording.events if event.kind == "step"} <= {1}
            assert len(heads) == 50
        finally:
            process.kill()


def test_watch_tells_a_learner_who_is_who(run_python, tmp_path: Path) -> None:
    """Tasks have their functions beside their names; what asyncio's own callbacks do is said; each loop's end is its own."""
    program = tmp_path / "first.py"
    program.write_text(
        "import asyncio\n"
        "async def make(seconds):\n    await asyncio.sleep(seconds)\n"
        "async def together():\n    await asyncio.gather(make(0.02), make(0.01))\n"
        "asyncio.run(make(0.01))\nasyncio.run(together())\n"
    )
    out = tmp_path / "told"
    command = (
        f"import sys; from cede.__main__ import main; sys.exit(main(['watch', '-o', {str(out)!r}, {str(program)!r}]))"
    )
    run_python(command)
    lines = out.read_text().splitlines()
    assert lines[0].endswith("before the first turn: Task-1 (make) is made")
    assert any("Task-5 (make), woken by Task-4 (together), ran " in line for line in lines)
    told = "\n".join(lines)  # a late loop has two of them in one turn, and in one line
    assert told.count("a sleep is over") == 3
    assert told.count("gather sees that one of its tasks has ended") == 2
    assert not any("callback _" in line for line in lines)
    lines = [line for line in lines if "the loop was blocked" not in line]  # a busy machine has some
    begun = [number for number, line in enumerate(lines) if "before the first turn" in line]
    begun = [number for number in begun if number - 1 not in begun]
    assert len(begun) == 2
    assert "the loop stops, for what it ran has ended" in lines[begun[1] - 1]
