"""StreamReader fed by hand: what each method returns, what it copies, when it waits, and what it does to the transport."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from unittest import mock

import pytest

import cede


def reader_with(*chunks, limit=64 * 1024, eof=False):
    reader = cede.StreamReader(limit=limit)
    for chunk in chunks:
        reader.feed_data(chunk)
    if eof:
        reader.feed_eof()
    return reader


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


async def suspensions(coro):
    """Await `coro`; return its result and how many turns of the loop it let pass."""
    passed = []
    loop = cede.get_running_loop()

    def turn():
        passed.append(1)
        handle[0] = loop.call_soon(turn)

    handle = [loop.call_soon(turn)]
    result = await coro
    handle[0].cancel()
    return result, len(passed)


# --- What is here is returned without waiting


async def test_nothing_waits_for_what_is_here():
    reader = reader_with(b"one\ntwo\r\nthree", b"four\nrest")
    assert await suspensions(reader.readline()) == (b"one\n", 0)
    assert await suspensions(reader.readuntil(b"\r\n")) == (b"two\r\n", 0)
    assert await suspensions(reader.readexactly(5)) == (b"three", 0)
    assert await suspensions(reader.read(2)) == (b"fo", 0)
    assert await suspensions(reader.readuntil((b"!", b"r"))) == (b"ur", 0)
    assert await suspensions(reader.read(100)) == (b"\nrest", 0)
    reader.feed_eof()
    assert await suspensions(reader.read(100)) == (b"", 0)
    assert await suspensions(reader.readline()) == (b"", 0)
    assert await suspensions(reader.read()) == (b"", 0)


async def test_a_chunk_that_is_read_whole_is_not_copied():
    chunk = b"x" * 100_000
    assert await reader_with(chunk).read(len(chunk)) is chunk
    assert await reader_with(chunk, eof=True).read() is chunk
    assert await reader_with(chunk).readexactly(len(chunk)) is chunk


async def test_a_task_that_waits_runs_in_the_turn_in_which_the_data_comes():
    reader, order = cede.StreamReader(), []

    async def read():
        order.append(await reader.read(10))

    task = cede.create_task(read())
    await turns()
    reader.feed_data(b"data")
    cede.get_running_loop().call_soon(order.append, "later")
    await task
    assert order == [b"data", "later"]


# --- read


async def test_read_returns_all_chunks_up_to_n():
    reader = reader_with(b"a" * 5000, b"b" * 5000, b"c" * 5000)
    assert await reader.read(6000) == b"a" * 5000 + b"b" * 1000
    assert await reader.read(3999) == b"b" * 3999
    assert await reader.read(1 << 40) == b"b" + b"c" * 5000
    assert await reader.read(0) == b""


async def test_read_to_the_end_goes_on_past_the_limit():
    reader = cede.StreamReader(limit=3)
    reader.set_transport(transport := mock.Mock())
    task = cede.create_task(reader.read())
    for _ in range(5):
        await turns()
        reader.feed_data(b"0123456789")
        assert transport.pause_reading.call_count == transport.resume_reading.call_count + 1
        await turns()
        assert transport.pause_reading.call_count == transport.resume_reading.call_count
    reader.feed_eof()
    assert await task == b"0123456789" * 5


async def test_read_of_an_odd_size_is_refused():
    with pytest.raises(TypeError):
        await reader_with(b"abc").read("1")
    with pytest.raises(TypeError):
        await reader_with(b"abc").read(1.5)


# --- readexactly


async def test_readexactly():
    reader = reader_with(b"ab", b"cd")
    assert await reader.readexactly(0) == b""
    assert await reader.readexactly(3) == b"abc"
    with pytest.raises(ValueError, match="readexactly size can not be less than zero"):
        await reader.readexactly(-1)
    task = cede.create_task(reader.readexactly(5))
    for byte in (b"e", b"f", b"g"):
        await turns()
        reader.feed_data(byte)
    await turns()
    assert not task.done()
    reader.feed_eof()
    with pytest.raises(cede.IncompleteReadError, match="4 bytes read on a total of 5 expected bytes") as caught:
        await task
    assert (caught.value.partial, caught.value.expected) == (b"defg", 5)
    assert reader.at_eof()


# --- readline


async def test_readline_across_chunks_and_at_the_end():
    reader = reader_with(b"li")
    task = cede.create_task(reader.readline())
    await turns()
    reader.feed_data(b"ne")
    await turns()
    reader.feed_data(b" 1\nline 2\nlin")
    assert await task == b"line 1\n"
    assert await reader.readline() == b"line 2\n"
    reader.feed_eof()
    assert await reader.readline() == b"lin"
    assert await reader.readline() == b""


@pytest.mark.parametrize("size", [6, 5000])
async def test_a_line_above_the_limit_is_dropped_with_its_newline(size):
    reader = reader_with(b"x" * size + b"\nnext\n", limit=5)
    with pytest.raises(ValueError, match="Separator is found, but chunk is longer than limit"):
        await reader.readline()
    assert await reader.readline() == b"next\n"


async def test_what_is_above_the_limit_and_no_line_is_dropped_altogether():
    reader = reader_with(b"x" * 7, limit=5)
    with pytest.raises(ValueError, match="Separator is not found, and chunk exceed the limit"):
        await reader.readline()
    reader.feed_data(b"next\n")
    assert await reader.readline() == b"next\n"


async def test_the_newline_does_not_count_for_the_limit():
    assert await reader_with(b"12345\n", limit=5).readline() == b"12345\n"


async def test_lines_by_async_for():
    reader = reader_with(b"a\n", b"b\nc", eof=True)
    assert [line async for line in reader] == [b"a\n", b"b\n", b"c"]


# --- readuntil


async def test_of_several_separators_the_one_that_ends_first_counts():
    assert await reader_with(b"some dataEND rest").readuntil((b"END", b"ND", b"EN")) == b"some dataEN"
    assert await reader_with(b"ab--cd").readuntil((b"--cd", b"-")) == b"ab-"
    assert await reader_with(b"xxABCDyy").readuntil((b"ABCD", b"BCD")) == b"xxABCD"


async def test_readuntil_takes_any_bytes():
    reader = reader_with(b"one;two;three;")
    assert await reader.readuntil(bytearray(b";")) == b"one;"
    assert await reader.readuntil(memoryview(b";")) == b"two;"
    assert await reader.readuntil((memoryview(b"?"), bytearray(b";"))) == b"three;"


async def test_what_is_no_separator():
    reader = reader_with(b"data")
    with pytest.raises(ValueError, match="Separator should contain at least one element"):
        await reader.readuntil(())
    with pytest.raises(ValueError, match="Separator should be at least one-byte string"):
        await reader.readuntil(b"")
    with pytest.raises(ValueError, match="Separator should be at least one-byte string"):
        await reader.readuntil((b"x", b""))
    with pytest.raises(TypeError):
        await reader.readuntil("x")


@pytest.mark.parametrize("separator", [b"AAA", b"ABAABA"])
async def test_a_separator_that_comes_byte_by_byte(separator):
    reader = cede.StreamReader()
    task = cede.create_task(reader.readuntil(separator))
    for number in b"AABAA" + separator:
        await turns(1)
        reader.feed_data(bytes([number]))
    whole = b"AABAA" + separator
    end = whole.find(separator) + len(separator)
    assert await task == whole[:end]


async def test_over_the_limit_everything_stays():
    reader = reader_with(b"123456789", limit=3)
    with pytest.raises(cede.LimitOverrunError, match="Separator is not found, and chunk exceed the limit") as caught:
        await reader.readuntil(b"ABC")
    assert caught.value.consumed == 7
    reader.feed_data(b"ABC")
    with pytest.raises(cede.LimitOverrunError, match="Separator is found, but chunk is longer than limit") as caught:
        await reader.readuntil(b"ABC")
    assert caught.value.consumed == 9
    assert await reader.readexactly(9) == b"123456789"
    assert await reader.readuntil(b"ABC") == b"ABC"


async def test_readuntil_at_the_end():
    reader = reader_with(b"some", b" data", eof=True)
    with pytest.raises(cede.IncompleteReadError, match="9 bytes read on a total of undefined expected bytes") as caught:
        await reader.readuntil(b";")
    assert (caught.value.partial, caught.value.expected) == (b"some data", None)
    assert reader.at_eof()


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", (b"\r\n", b"\n\n")])
@pytest.mark.parametrize("size", [500, 5000])
async def test_a_search_is_linear(separator, size):
    async def seconds(total):
        reader = cede.StreamReader(limit=1 << 30)
        chunk = b"\r" * size
        task = cede.create_task(reader.readuntil(separator))
        await turns(1)
        began = time.process_time()
        for _ in range(total // size):
            reader.feed_data(chunk)
            await cede.sleep(0)
        reader.feed_data(b"\n\n")
        assert len(await task) >= total
        return time.process_time() - began

    await seconds(100_000)
    once = min([await seconds(500_000) for _ in range(3)])
    assert await seconds(5_000_000) < 40 * once + 0.2  # quadratic would be a hundred times


async def test_whoever_reads_in_between_does_not_lead_a_search_astray():
    reader = cede.StreamReader()
    task = cede.create_task(reader.readline())
    await turns()
    reader.feed_data(b"0123456789")
    await turns()
    reader.feed_data(b"ab")
    assert await reader.read(12) == b"0123456789ab"  # before the task has its turn
    await turns()
    reader.feed_data(b"c\nd")
    assert await task == b"c\n"


# --- Waiting


async def test_two_cannot_wait():
    reader = cede.StreamReader()
    first = cede.create_task(reader.read(1))
    await turns()
    for method, name in [
        (reader.read(1), "read"),
        (reader.read(), "read"),
        (reader.readexactly(1), "readexactly"),
        (reader.readline(), "readuntil"),
        (reader.readuntil(b";"), "readuntil"),
    ]:
        with pytest.raises(RuntimeError, match=rf"^{name}\(\) called while another coroutine is already waiting"):
            await method
    reader.feed_data(b"x")
    assert await first == b"x"


@pytest.mark.parametrize("method", [lambda r: r.read(9), lambda r: r.readline(), lambda r: r.readexactly(9)])
async def test_who_stops_waiting_makes_room(method):
    reader = cede.StreamReader()
    task = cede.create_task(method(reader))
    await turns()
    task.cancel()
    second = cede.create_task(reader.read(9))  # has its turn after the cancellation, and before the end of the task
    with pytest.raises(cede.CancelledError):
        await task
    await turns()
    reader.feed_data(b"data")
    assert await second == b"data"

    coro = method(reader)
    coro.send(None)
    coro.close()
    reader.feed_data(b"more data\n")
    assert await reader.read(99) == b"more data\n"


async def test_a_waiter_that_is_used_again_is_as_new():
    reader = cede.StreamReader()
    for _ in range(3):
        coro = reader.readline()  # driven by hand: nobody takes back that it blocks
        coro.send(None)
        reader.feed_data(b"line\n")
        with pytest.raises(StopIteration, match="line"):
            coro.send(None)
    kept = []
    for number in range(3):
        task = cede.create_task(reader.read(10))
        await turns()
        kept.append(reader._waiter)
        kept[-1].add_done_callback(kept.append)
        reader.feed_data(b"%d" % number)
        assert await task == b"%d" % number
    await turns()
    assert [waiter.done() for waiter in kept] == [True] * 6
    assert len(set(kept)) == 3  # somebody else knows them: they stay as they are


async def test_a_cancelled_read_loses_nothing():
    reader = cede.StreamReader()
    task = cede.create_task(reader.readexactly(4))
    await turns()
    reader.feed_data(b"ab")
    await turns()
    task.cancel()
    await turns()
    reader.feed_data(b"cd")
    assert await reader.readexactly(4) == b"abcd"


async def test_reading_with_a_timeout():
    reader = cede.StreamReader()
    with pytest.raises(TimeoutError):
        await cede.wait_for(reader.readline(), 0.01)
    with pytest.raises(TimeoutError):
        async with cede.timeout(0.01):
            await reader.readline()
    reader.feed_data(b"line\n")
    assert await cede.wait_for(reader.readline(), 1) == b"line\n"


async def test_the_methods_are_coroutine_functions():
    for name in ("read", "readexactly", "readline", "readuntil"):
        assert inspect.iscoroutinefunction(getattr(cede.StreamReader, name))
    for name in ("drain", "wait_closed", "start_tls"):
        assert inspect.iscoroutinefunction(getattr(cede.StreamWriter, name))
    double = mock.create_autospec(cede.StreamReader, instance=True)
    double.readline.return_value = b"line\n"
    assert await double.readline() == b"line\n"


# --- Errors and the end


async def test_an_exception_reaches_who_waits_and_who_comes_later():
    reader = cede.StreamReader()
    assert reader.exception() is None
    task = cede.create_task(reader.readline())
    await turns()
    error = ConnectionResetError("gone")
    reader.set_exception(error)
    assert reader.exception() is error
    with pytest.raises(ConnectionResetError, match="gone"):
        await task
    reader.feed_data(b"data\n")
    for method in (reader.read(1), reader.read(), reader.readexactly(1), reader.readline(), reader.readuntil(b"\n")):
        with pytest.raises(ConnectionResetError, match="gone"):
            await method


async def test_data_and_then_an_error_in_one_turn():
    reader = cede.StreamReader()
    task = cede.create_task(reader.readline())
    await turns()
    reader.feed_data(b"line\n")
    reader.set_exception(ConnectionResetError())
    assert await task == b"line\n"

    reader = cede.StreamReader()
    task = cede.create_task(reader.readline())
    await turns()
    reader.feed_data(b"no line")
    reader.set_exception(ConnectionResetError())
    with pytest.raises(ConnectionResetError):  # and no waiting for ever
        await task


async def test_the_end():
    reader = cede.StreamReader()
    assert not reader.at_eof()
    task = cede.create_task(reader.read(5))
    await turns()
    reader.feed_eof()
    assert await task == b""
    assert reader.at_eof()
    with pytest.raises(AssertionError, match="feed_data after feed_eof"):
        reader.feed_data(b"x")


async def test_at_eof_only_when_all_is_read():
    reader = reader_with(b"ab", eof=True)
    assert not reader.at_eof()
    await reader.read(1)
    assert not reader.at_eof()
    await reader.read(1)
    assert reader.at_eof()


# --- What may be fed


async def test_everything_bytearray_extend_takes_may_be_fed():
    class Bytes(bytes):
        pass

    data = bytearray(b"bytearray ")
    reader = reader_with(data, memoryview(b"memoryview "), Bytes(b"subclass "), [108, 105, 115, 116], b"")
    data[:] = b"overwritten"
    got = await reader.read(100)
    assert got == b"bytearray memoryview subclass list"
    assert type(got) is bytes
    with pytest.raises(TypeError):
        reader.feed_data("text")
    with pytest.raises(TypeError):
        reader.feed_data(3)


# --- The transport


async def test_the_transport_is_paused_above_twice_the_limit_and_resumed_at_the_limit():
    reader = cede.StreamReader(limit=10)
    reader.set_transport(transport := mock.Mock())
    reader.feed_data(b"x" * 20)
    assert not transport.pause_reading.called
    reader.feed_data(b"x")
    reader.feed_data(b"x" * 100)
    assert transport.pause_reading.call_count == 1
    await reader.read(110)
    assert not transport.resume_reading.called
    await reader.read(1)
    assert transport.resume_reading.call_count == 1
    with pytest.raises(AssertionError, match="Transport already set"):
        reader.set_transport(transport)


async def test_a_transport_that_cannot_be_paused_is_asked_once():
    reader = cede.StreamReader(limit=1)
    reader.set_transport(transport := mock.Mock())
    transport.pause_reading.side_effect = NotImplementedError
    reader.feed_data(b"12345")
    reader.feed_data(b"12345")
    assert transport.pause_reading.call_count == 1
    assert await reader.read(20) == b"1234512345"
    assert not transport.resume_reading.called


async def test_who_waits_for_more_than_the_limit_is_served():
    reader = cede.StreamReader(limit=2)
    reader.set_transport(transport := mock.Mock())
    task = cede.create_task(reader.readexactly(9))
    for number in range(9):
        await turns()
        reader.feed_data(b"%d" % number)
    assert await task == b"012345678"
    assert transport.pause_reading.call_count == transport.resume_reading.call_count > 0


# --- Making one, and seeing it


@pytest.mark.parametrize("count", [2**63 - 1, 2**63, 2**70])
async def test_any_number_of_bytes_may_be_asked_for(count):
    reader = cede.StreamReader()
    reading = cede.create_task(reader.read(count))
    await cede.sleep(0)
    reader.feed_data(b"abc")
    assert await reading == b"abc"
    reader.feed_data(b"def")
    assert await reader.read(count) == b"def"
    reader.feed_data(b"ghi")
    reading = cede.create_task(reader.readexactly(count))
    await cede.sleep(0)
    reader.feed_eof()
    with pytest.raises(cede.IncompleteReadError) as caught:
        await reading
    assert caught.value.expected == count
    assert caught.value.partial == b"ghi"


@pytest.mark.parametrize("limit", [2**70, 1.5e6, float("inf")])
async def test_any_number_may_be_the_limit(limit):
    reader = cede.StreamReader(limit=limit)
    reader.feed_data(bytes(100_000) + b"\n")
    assert len(await reader.readline()) == 100_001


async def test_limits():
    for limit in (0, -1):
        with pytest.raises(ValueError, match="Limit cannot be <= 0"):
            cede.StreamReader(limit=limit)
    assert await reader_with(b"x\n", limit=1 << 80).readline() == b"x\n"


async def test_repr():
    reader = cede.StreamReader()
    assert repr(reader) == "<StreamReader>"
    task = cede.create_task(reader.read(1))
    await turns()
    assert repr(reader).startswith("<StreamReader waiter=<Future pending")
    reader = reader_with(b"abc", limit=77, eof=True)
    reader.set_exception(OSError(5))
    assert repr(reader) == "<StreamReader 3 bytes eof limit=77 exception=OSError(5)>"
    task.cancel()


def test_without_a_loop():
    asyncio.set_event_loop(None)
    with pytest.raises(RuntimeError, match=r"no current event loop|no running event loop"):
        cede.StreamReader()


async def test_the_loop_is_the_running_one(loop):
    assert cede.StreamReader()._loop is loop
    assert cede.StreamReaderProtocol(mock.Mock())._loop is loop


async def test_debug_mode_remembers_where_it_was_made(loop):
    assert cede.StreamReader()._source_traceback is None
    loop.set_debug(True)
    assert "cede.StreamReader()" in str(cede.StreamReader()._source_traceback[-1].line)


def test_on_a_loop_that_is_not_cedes():
    async def main():
        reader = cede.StreamReader()
        task = asyncio.ensure_future(reader.readline())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reader.feed_data(b"line")
        await asyncio.sleep(0)
        reader.feed_data(b"\nrest")
        assert await task == b"line\n"
        assert await reader.read(10) == b"rest"

    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.close()


# --- asyncio: private, and used


async def test_the_private_buffer_can_be_read_and_changed():
    reader = reader_with(b"one ", b"x" * 5000, b"y" * 5000)
    assert await reader.read(2) == b"on"
    buffer = reader._buffer
    assert buffer == b"e " + b"x" * 5000 + b"y" * 5000
    del buffer[2:]
    reader.feed_data(b"two\nthree")
    assert await reader.readline() == b"e two\n"
    assert await reader.readexactly(5) == b"three"
    assert buffer == b""
    buffer += b"four\n"
    assert await reader.readline() == b"four\n"
    reader._buffer = bytearray(b"five")
    assert await reader.read(10) == b"five"
    assert reader._buffer == b""


# --- The same as the standard library's


async def do_both(step, ours, theirs):
    """Do one random thing to both readers; return what came of it, twice."""
    outcomes = []
    for reader in (ours, theirs):
        try:
            outcome = step(reader)
            if inspect.iscoroutine(outcome):
                outcome = await cede.wait_for(outcome, 0.001) if not reader._eof else await outcome
        except TimeoutError:
            outcome = "waits"
        except Exception as exc:
            outcome = (type(exc).__name__, str(exc), getattr(exc, "partial", None), getattr(exc, "consumed", None))
        outcomes.append(outcome)
    return outcomes


def random_step(rng):
    kind = rng.randrange(10)
    n = rng.choice((0, 1, 3, 10, 4000, 9000))
    if kind < 4:
        size = rng.choice((0, 1, 2, 5, 50, 5000, 9000))
        data = bytes(rng.choices(b"ab\n\r", weights=(10, 10, 1, 1), k=min(size, 100))) * (size // 100 or 1)
        return lambda reader: reader.feed_data(data)
    if kind == 4:
        return lambda reader: reader.readline()
    if kind == 5:
        separator = rng.choice((b"\n", b"\r\n", b"ab\n", b"aba"))
        return lambda reader: reader.readuntil(separator)
    if kind == 6:
        return lambda reader: reader.readexactly(n)
    if kind == 7 and rng.random() < 0.1:
        return lambda reader: bytes(reader._buffer)
    return lambda reader: reader.read(n)


@pytest.mark.parametrize("seed", range(20))
async def test_every_program_gives_what_asyncio_gives(seed):
    rng = random.Random(seed)
    limit = rng.choice((5, 100, 6000, 1 << 16))
    ours, theirs = cede.StreamReader(limit=limit), asyncio.StreamReader(limit=limit)
    ours.set_transport(our_transport := mock.Mock())
    theirs.set_transport(their_transport := mock.Mock())
    for number in range(200):
        if number == 190:
            ours.feed_eof()
            theirs.feed_eof()
        step = random_step(rng)
        if number >= 190 and "feed_data" in step.__code__.co_names:
            continue
        ours_came, theirs_came = await do_both(step, ours, theirs)
        assert ours_came == theirs_came, (number, inspect.getsource(step))
        assert repr(ours).split(" transport")[0] == repr(theirs).split(" transport")[0]
        assert our_transport.mock_calls == their_transport.mock_calls
        assert ours.at_eof() is theirs.at_eof()


async def test_what_one_waits_in_knows_where_it_was_made_in_debug_mode_alone() -> None:
    """Compiled, a reader waits in the same future again, where nobody can tell: in debug mode one could."""
    loop = cede.get_running_loop()
    reader = cede.StreamReader()
    made_in = []
    for debug in (False, False, True, True, False, False):
        loop.set_debug(debug)
        reading = cede.ensure_future(reader.read(1))
        await cede.sleep(0)
        waiter = reader._waiter
        made_in.append(waiter._source_traceback is not None)
        del waiter
        reader.feed_data(b"x")
        assert await reading == b"x"
    assert made_in == [False, False, True, True, False, False]
