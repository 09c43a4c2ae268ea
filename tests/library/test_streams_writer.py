"""StreamWriter and the protocols: what they pass on to whatever transport, drain, the end, and warnings."""

from __future__ import annotations

import asyncio
import gc
import warnings
from unittest import mock

import pytest

import cede
from cede.streams import FlowControlMixin, StreamReaderProtocol


async def turns(n=3):
    for _ in range(n):
        await cede.sleep(0)


def a_transport():
    transport = mock.Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = False
    transport.get_extra_info.return_value = None
    return transport


class Connected:
    """A reader, a protocol and a writer on a transport that is a mock."""

    def __init__(self, callback=None):
        self.transport = a_transport()
        self.reader = cede.StreamReader()
        self.protocol = StreamReaderProtocol(self.reader, callback)
        self.protocol.connection_made(self.transport)
        self.writer = cede.StreamWriter(self.transport, self.protocol, self.reader, cede.get_running_loop())

    def lose(self, exc=None):
        self.transport.is_closing.return_value = True
        self.protocol.connection_lost(exc)


# --- Passing on


async def test_everything_goes_to_the_transport():
    end = Connected()
    writer, transport = end.writer, end.transport
    assert writer.transport is transport
    assert writer.write(b"data") is None
    writer.writelines([b"a", b"b"])
    assert writer.can_write_eof() is transport.can_write_eof.return_value
    writer.write_eof()
    writer.get_extra_info("peername")
    writer.get_extra_info("other", 5)
    assert writer.is_closing() is False
    assert transport.mock_calls[1:] == [
        mock.call.write(b"data"),
        mock.call.writelines([b"a", b"b"]),
        mock.call.can_write_eof(),
        mock.call.write_eof(),
        mock.call.get_extra_info("peername", None),
        mock.call.get_extra_info("other", 5),
        mock.call.is_closing(),
    ]
    writer.close()
    assert transport.close.called
    end.lose()


async def test_repr():
    end = Connected()
    end.transport.__repr__ = lambda self: "<T>"
    assert repr(end.writer) == "<StreamWriter transport=<T> reader=<StreamReader transport=<T>>>"
    end.lose()


# --- drain


async def test_drain_does_not_suspend_while_the_transport_takes_more(loop):
    end, passed = Connected(), []
    loop.call_soon(passed.append, 1)
    for _ in range(100):
        end.writer.write(b"data")
        await end.writer.drain()
    assert passed == []
    end.lose()


async def test_all_who_drain_wait_until_writing_may_go_on():
    end = Connected()
    end.protocol.pause_writing()
    tasks = [cede.create_task(end.writer.drain()) for _ in range(10)]
    await turns()
    tasks[3].cancel()
    await turns()
    assert [task.done() for task in tasks] == [number == 3 for number in range(10)]
    end.protocol.resume_writing()
    await cede.gather(*tasks, return_exceptions=True)
    assert tasks[3].cancelled()
    await end.writer.drain()
    end.lose()


@pytest.mark.parametrize("kind", [None, BrokenPipeError])
async def test_the_end_wakes_those_who_drain(kind):
    end, error = Connected(), kind and kind("gone")
    end.protocol.pause_writing()
    tasks = [cede.create_task(end.writer.drain()) for _ in range(3)]
    await turns()
    end.lose(error)
    assert await cede.gather(*tasks, return_exceptions=True) == [error] * 3
    with pytest.raises(ConnectionResetError if error is None else BrokenPipeError):
        await end.writer.drain()


async def test_drain_raises_what_the_reader_got():
    end = Connected()
    end.reader.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        await end.writer.drain()
    end.lose()


async def test_who_writes_and_drains_to_a_closing_transport_learns_of_the_end(loop):
    end = Connected()
    end.transport.is_closing.return_value = True
    loop.call_soon(end.protocol.connection_lost, None)
    with pytest.raises(ConnectionResetError, match="Connection lost"):
        while True:
            end.writer.write(b"data")
            await end.writer.drain()


async def test_writing_paused_twice_is_a_fault_of_the_transport():
    protocol = FlowControlMixin()
    with pytest.raises(AssertionError):
        protocol.resume_writing()
    protocol.pause_writing()
    with pytest.raises(AssertionError):
        protocol.pause_writing()


async def test_a_protocol_with_a_drain_of_its_own_is_asked():
    class Slow(StreamReaderProtocol):
        drained = 0

        async def _drain_helper(self):
            self.drained += 1
            await super()._drain_helper()

    reader = cede.StreamReader()
    protocol = Slow(reader)
    writer = cede.StreamWriter(transport := a_transport(), protocol, reader, cede.get_running_loop())
    await writer.drain()
    assert protocol.drained == 1
    transport.is_closing.return_value = True


async def test_a_protocol_and_a_reader_of_another_kind():
    protocol = mock.Mock()
    protocol._drain_helper = mock.AsyncMock()
    reader = mock.Mock()
    reader.exception.return_value = None
    writer = cede.StreamWriter(transport := a_transport(), protocol, reader, cede.get_running_loop())
    await writer.drain()
    assert protocol._drain_helper.await_count == 1
    reader.exception.return_value = KeyError("other")
    with pytest.raises(KeyError, match="other"):
        await writer.drain()
    transport.is_closing.return_value = True


async def test_without_a_reader():
    protocol = FlowControlMixin()
    writer = cede.StreamWriter(transport := a_transport(), protocol, None, cede.get_running_loop())
    await writer.drain()
    assert "reader" not in repr(writer)
    protocol.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    transport.is_closing.return_value = True


# --- The end


@pytest.mark.parametrize("when", ["before", "after"])
async def test_wait_closed(when):
    end = Connected()
    if when == "before":
        task = cede.create_task(end.writer.wait_closed())
        await turns()
        assert not task.done()
        end.lose()
        await task
    else:
        end.lose()
    await end.writer.wait_closed()
    await end.writer.wait_closed()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_wait_closed_raises_what_ended_the_connection(when):
    end = Connected()
    if when == "before":
        task = cede.create_task(end.writer.wait_closed())
        await turns()
        end.lose(TimeoutError("no answer"))
        with pytest.raises(TimeoutError, match="no answer"):
            await task
    else:
        end.lose(TimeoutError("no answer"))
    with pytest.raises(TimeoutError, match="no answer"):
        await end.writer.wait_closed()


@pytest.mark.parametrize("asked", [True, False])
async def test_an_end_that_nobody_waits_for_is_not_complained_of(asked, loop_errors):
    end = Connected()
    if asked:
        assert not end.protocol._closed.done()
    end.lose(ConnectionResetError())
    del end
    gc.collect()
    await turns()
    assert loop_errors == []


async def test_the_end_reaches_the_reader():
    end = Connected()
    end.protocol.data_received(b"last")
    end.lose()
    assert await end.reader.read() == b"last"
    end = Connected()
    end.lose(ConnectionResetError("reset"))
    with pytest.raises(ConnectionResetError, match="reset"):
        await end.reader.read()


async def test_the_end_of_the_input_keeps_the_connection_open_but_not_with_tls():
    end = Connected()
    assert end.protocol.eof_received() is True
    assert end.reader.at_eof()
    end.lose()
    transport = a_transport()
    transport.get_extra_info.side_effect = lambda name, default=None: "context" if name == "sslcontext" else default
    protocol = StreamReaderProtocol(cede.StreamReader())
    protocol.connection_made(transport)
    assert protocol.eof_received() is False


async def test_data_after_the_end_is_dropped():
    end = Connected()
    end.lose()
    end.protocol.data_received(b"late")
    end.protocol.eof_received()
    assert await end.reader.read() == b""


# --- Readers of another kind


async def test_a_reader_that_takes_data_in_its_own_way_gets_it():
    class Counting(cede.StreamReader):
        fed = 0

        def feed_data(self, data):
            self.fed += len(data)
            super().feed_data(data)

    reader = Counting()
    protocol = StreamReaderProtocol(reader)
    protocol.data_received(b"data")
    assert reader.fed == 4
    assert await reader.read(10) == b"data"

    double = mock.Mock()
    protocol = StreamReaderProtocol(double)
    protocol.connection_made(transport := a_transport())
    protocol.data_received(b"data")
    protocol.eof_received()
    protocol.connection_lost(None)
    assert double.mock_calls == [
        mock.call.set_transport(transport),
        mock.call.feed_data(b"data"),
        mock.call.feed_eof(),
        mock.call.feed_eof(),
    ]


async def test_asyncios_own_reader_and_writer_get_along_with_our_protocol():
    reader = asyncio.StreamReader()
    protocol = StreamReaderProtocol(reader)
    protocol.connection_made(transport := a_transport())
    writer = asyncio.StreamWriter(transport, protocol, reader, cede.get_running_loop())
    protocol.data_received(b"line\n")
    assert await reader.readline() == b"line\n"
    await writer.drain()
    protocol.connection_lost(None)
    await writer.wait_closed()
    transport.is_closing.return_value = True


def test_the_classes_are_asyncios_kind():
    assert issubclass(StreamReaderProtocol, FlowControlMixin)
    assert issubclass(FlowControlMixin, asyncio.Protocol)


# --- A writer that is dropped


async def test_a_writer_that_is_dropped_open_warns_and_closes():
    end = Connected()
    end.transport.__repr__ = lambda self: "<T>"
    with pytest.warns(ResourceWarning, match="^unclosed <StreamWriter transport=<T>"):
        end.writer = None
    assert end.transport.close.called
    end.lose()


async def test_a_writer_that_is_closed_is_dropped_in_silence():
    end = Connected()
    end.writer.close()
    end.lose()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del end
        gc.collect()


def test_a_writer_whose_loop_is_closed():
    loop = cede.new_event_loop()
    writer = cede.StreamWriter(transport := a_transport(), FlowControlMixin(loop), None, loop)
    loop.close()
    with pytest.warns(ResourceWarning, match="^loop is closed$"):
        del writer
    assert not transport.close.called


def test_a_writer_that_was_never_made_says_nothing():
    with pytest.raises(TypeError):
        cede.StreamWriter()
    cede.StreamWriter.__new__(cede.StreamWriter)


# --- start_tls


class TlsLoop:
    """Stands in for a loop whose start_tls gives another transport."""

    def __init__(self, transport):
        self.transport = transport
        self.asked = None

    async def start_tls(self, *args, **kwargs):
        self.asked = (args, kwargs)
        return self.transport

    def is_closed(self):
        return True


@pytest.mark.parametrize("server_side", [True, False])
async def test_start_tls_goes_on_with_the_new_transport(server_side):
    end = Connected(mock.Mock() if server_side else None)
    transport = a_transport()
    transport.get_extra_info.side_effect = lambda name, default=None: "context" if name == "sslcontext" else default
    end.writer._loop = loop = TlsLoop(transport)
    end.reader.feed_data(b"x" * 200_000)
    assert end.transport.pause_reading.called
    await end.writer.start_tls("context", server_hostname="host", ssl_handshake_timeout=3)
    assert loop.asked == (
        (end.transport, end.protocol, "context"),
        {
            "server_side": server_side,
            "server_hostname": "host",
            "ssl_handshake_timeout": 3,
            "ssl_shutdown_timeout": None,
        },
    )
    assert end.writer.transport is transport
    assert len(await end.reader.read(200_000)) == 200_000
    assert transport.resume_reading.called  # the reader follows
    assert not end.transport.resume_reading.called
    assert end.protocol.eof_received() is False
    transport.is_closing.return_value = True
    end.lose()


async def test_what_came_before_tls_can_be_taken():
    end = Connected()
    end.protocol.data_received(b"client ")
    end.protocol.data_received(b"hello")
    assert end.protocol._take_buffered() == b"client hello"
    assert end.protocol._take_buffered() == b""
    assert StreamReaderProtocol(mock.Mock())._take_buffered() == b""
    end.transport.is_closing.return_value = True
    end.lose()
