"""Whatever is done to two stream transports, and to the network between them: bytes arrive once and in order, or
connection_lost tells of the loss.

A state machine makes up what both ends do, in turns and inside callbacks, and what the network between them does:
it carries a byte or a megabyte, is cut, is reset, or (TLS should notice) adds bytes of its own. Each end keeps the
law of protocols under watch (`End`); when all has come to rest the two are compared (`Connection.check`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import struct
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

# asyncio's own transports tell of an EOF again after resume_reading, keep what writelines is given after the end, and
# send what a caller put into his buffer since.
pytestmark = pytest.mark.cede_only

EXAMPLES = int(os.environ.get("CEDE_TEST_EXAMPLES", "0"))  # how many connections, instead of each test's own number

BLOCK = random.Random(1).randbytes(1_000_003)


def stream(start, count):
    """`count` bytes of the stream that each end sends, from `start` on."""
    start %= len(BLOCK)
    data = BLOCK[start : start + count]
    while len(data) < count:
        data += BLOCK[: count - len(data)]
    return data


class End:
    """One end: its protocol, what it did, and what the law of protocols says of what it is told."""

    def __init__(self, name, keep_open):
        self.name = name
        self.keep_open = keep_open  # what eof_received answers
        self.calls = []
        self.faults = []  # what was against the law
        self.transport = None
        self.other = None
        self.received = 0
        self.sent = 0  # bytes that must arrive
        self.sent_late = 0  # bytes written after close: these may arrive
        self.ended = None  # "eof", "close" or "abort": the last of what this end did to end the connection
        self.wrote_eof = False
        self.closes = False  # True iff it is to be lost: it closed, or the peer's end closed it
        self.lost = []  # the arguments of connection_lost
        self.inside = {}  # {callback: what to do the next time it is called}

    def law(self, holds, what):
        if not holds:
            self.faults.append(f"{self.name}: {what}; calls: {self.calls[-8:]}, lost: {self.lost}")

    def note(self, call):
        self.law(not self.lost, f"{call} after connection_lost")
        self.law(bool(self.calls) is (call != "made"), f"{call} out of order")
        if not self.calls or self.calls[-1] != call or call != "data":
            self.calls.append(call)

    def act(self, callback):
        for name, size in self.inside.pop(callback, ()):
            self.do(name, size)

    # --- What the transport says

    def connection_made(self, transport):
        self.note("made")
        self.transport = transport
        self.act("made")

    def came(self, data):
        self.note("data")
        self.law("eof" not in self.calls, "data after EOF")
        self.law(self.transport.is_reading() or self.ended, "data while reading is paused")
        self.law(self.ended not in ("close", "abort"), "data after close")
        self.law(stream(self.received, len(data)) == data, f"other data at {self.received} (+{len(data)})")
        self.received += len(data)
        self.law(self.received <= self.other.sent + self.other.sent_late, "more data than was sent")
        self.act("data")

    def eof_received(self):
        self.note("eof")
        self.law(self.calls.count("eof") == 1, "EOF twice")
        self.act("eof")
        self.closes = self.closes or not self.keep_open
        return self.keep_open

    def pause_writing(self):
        self.note("pause")
        self.law(self.flow_calls()[-2:] != ["pause", "pause"], "paused twice")
        self.act("pause")

    def resume_writing(self):
        self.note("resume")
        self.law(self.flow_calls()[-2:] == ["pause", "resume"], "resumed without a pause")
        self.act("resume")

    def flow_calls(self):
        return [call for call in self.calls if call in ("pause", "resume")]

    def connection_lost(self, exc):
        self.note("lost")
        self.lost.append(exc)
        self.act("lost")

    # --- What is done to the transport

    def do(self, name, size):
        if self.transport is None:
            return
        getattr(self, "do_" + name)(size)

    def about_to_send(self, size):
        """Return what to write, and note that it is to arrive if that may be expected."""
        data = stream(self.sent + self.sent_late, size)
        if self.ended or self.closes or self.lost or self.transport.is_closing():
            self.sent_late += size
        else:
            self.sent += size
        return data

    def do_write(self, size):
        if self.wrote_eof:
            with contextlib.suppress(RuntimeError):
                self.transport.write(b"late")
                self.law(False, "write after write_eof")
            return
        data = bytearray(self.about_to_send(size))
        if size % 3 == 0:
            self.transport.write(bytes(data))
        else:
            self.transport.write(data if size % 3 == 1 else memoryview(data))
            data[:] = bytes(len(data))  # the caller may use it again

    def do_writelines(self, size):
        if self.wrote_eof:
            return
        data = self.about_to_send(size)
        self.transport.writelines([data[: size // 3], b"", data[size // 3 : size // 2], data[size // 2 :]])

    def do_write_eof(self, size):
        if self.transport.can_write_eof():
            if not self.ended and not self.transport.is_closing():
                self.ended = "eof"
                self.wrote_eof = True
            self.transport.write_eof()

    def do_pause(self, size):
        self.transport.pause_reading()

    def do_resume(self, size):
        self.transport.resume_reading()

    def do_close(self, size):
        if self.ended != "abort":
            self.ended = "close"
        self.closes = True
        self.transport.close()
        self.law(self.transport.is_closing(), "not closing after close")

    def do_abort(self, size):
        self.ended = "abort"
        self.closes = True
        self.transport.abort()
        self.law(self.transport.is_closing(), "not closing after abort")
        self.law(self.transport.get_write_buffer_size() == 0 or self.lost, "something to send after abort")

    def do_limits(self, size):
        self.transport.set_write_buffer_limits(size)

    def do_ask(self, size):
        self.law(self.transport.get_write_buffer_size() >= 0, "less than nothing to send")
        repr(self.transport)
        self.transport.get_extra_info("peername")
        self.transport.get_extra_info("sockname")


class Plain(End, asyncio.Protocol):
    def data_received(self, data):
        self.law(type(data) is bytes and data, f"data is {data!r}")
        self.came(data)


class Buffered(End, asyncio.BufferedProtocol):
    size = 3000

    def get_buffer(self, sizehint):
        self.law(not self.lost, "get_buffer after connection_lost")
        self.buffer = bytearray(self.size)
        self.size = self.size * 7 % 70001 + 1
        return self.buffer

    def buffer_updated(self, count):
        self.law(0 < count <= len(self.buffer), "a count that is none")
        self.came(bytes(self.buffer[:count]))


ACTIONS = ["write", "writelines", "pause", "resume", "write_eof", "close", "abort", "limits", "ask"]
SIZES = [1, 2, 3, 100, 1000, 16 * 1024, 40_000, 66_000, 300_000]
CALLBACKS = ["made", "data", "eof", "pause", "resume", "lost"]

# Writing is likelier than ending it all.
action = st.tuples(st.sampled_from(["write"] * 6 + ["resume"] * 2 + ACTIONS), st.sampled_from(SIZES))
either = st.sampled_from([0, 1])


class Direct:
    """No network: the two ends share a socket pair with small buffers."""

    tampered = False

    def __init__(self):
        self.ends = socket.socketpair()
        for sock in self.ends:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
            sock.setblocking(False)

    def carry(self, direction, count):
        return 0

    def cut(self, how):
        pass

    def close(self):
        pass


class Network:
    """Carries the bytes of a TCP connection from one end to the other, as many and as far as it is told."""

    def __init__(self, tcp_pair):
        (mine, left), (theirs, right) = tcp_pair(), tcp_pair()
        self.ends = (mine, theirs)
        self.inner = [left, right]
        self.pending = [b"", b""]  # what was taken from end i and not given to the other one
        self.over = [False, False]  # True iff end i sends no more
        self.deaf = [False, False]  # True iff the other end takes no more of what end i sends
        self.tampered = False

    def carry(self, direction, count):
        """Carry at most `count` bytes from end `direction` to the other; return how many moved."""
        source, target = self.inner[direction], self.inner[1 - direction]
        if source.fileno() < 0 or self.over[direction]:
            return 0
        moved = 0
        try:
            if len(self.pending[direction]) < count:
                data = source.recv(count - len(self.pending[direction]))
                moved += len(data)
                self.pending[direction] += data
                if not data:
                    self.over[direction] = True
        except BlockingIOError:
            pass
        except OSError:
            self.reset()  # as the end did
            return 1
        if self.deaf[direction]:
            self.pending[direction] = b""
        try:
            while self.pending[direction]:
                sent = target.send(self.pending[direction][:count])
                self.pending[direction] = self.pending[direction][sent:]
                moved += sent
                if sent == count:
                    break
            if self.over[direction] and self.pending[direction]:
                self.over[direction] = False  # not yet
            elif self.over[direction]:
                target.shutdown(socket.SHUT_WR)
                moved += 1
        except BlockingIOError:
            self.over[direction] = False
        except ConnectionResetError:
            self.reset()  # and only this call was told
        except OSError:
            self.deaf[direction] = True
            self.pending[direction] = b""
        return moved

    def cut(self, how):
        self.tampered = True
        if how == "reset":
            self.reset()
        elif how == "hang up":
            self.close()
        else:
            with contextlib.suppress(OSError):
                self.inner[0].send(how)

    def reset(self):
        for sock in self.inner:
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        for sock in self.inner:
            sock.close()


def machine_of(new_loop, road, world, tcp_pair, direct=False):
    """Return the machine's class for a road: "plain"; "socket" or "bytes", the two of TLS; "upgraded" or "inside", by
    start_tls on a plain connection or inside TLS.
    """

    class Connection(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.loop = None

        @initialize(keep_open=st.tuples(st.booleans(), st.booleans()), buffered=st.tuples(*2 * [st.booleans()]))
        def connect(self, keep_open, buffered):
            self.loop = new_loop()
            self.reports = []
            self.loop.set_exception_handler(lambda loop, context: self.reports.append(context))
            self.network = Direct() if direct else Network(tcp_pair)
            kinds = [Buffered if each else Plain for each in buffered]
            # With TLS True has no effect, and would be a warning in the log.
            answers = keep_open if road == "plain" else (False, False)
            self.ends = [kind(name, answer) for kind, name, answer in zip(kinds, "AB", answers)]
            for end, other in zip(self.ends, reversed(self.ends)):
                end.other = other
            self.loop.run_until_complete(self.begin())

        async def begin(self):
            late = road in ("upgraded", "inside")  # TLS begins once there is a connection
            client_tls, server_tls, name = (
                (None, None, None) if road in ("plain", "upgraded") else (*world, "localhost")
            )
            client, server = [asyncio.Protocol() if late else end for end in self.ends]
            (client_transport, _), (server_transport, _) = await self.carrying(
                self.loop.create_connection(
                    lambda: client, sock=self.network.ends[0], ssl=client_tls, server_hostname=name
                ),
                self.loop.connect_accepted_socket(lambda: server, self.network.ends[1], ssl=server_tls),
            )
            if late:
                transports = await self.carrying(
                    self.loop.start_tls(client_transport, self.ends[0], world[0], server_hostname="localhost"),
                    self.loop.start_tls(server_transport, self.ends[1], world[1], server_side=True),
                )
                for end, transport in zip(self.ends, transports):
                    end.connection_made(transport)

        async def carrying(self, *coros):
            both = asyncio.gather(*coros)
            while not both.done():
                self.network.carry(0, 10**6)
                self.network.carry(1, 10**6)
                await asyncio.sleep(0)
            return await both

        @rule(side=either, actions=st.lists(action, min_size=1, max_size=4))
        def at_once(self, side, actions):
            """Do it all in one turn."""
            self.loop.run_until_complete(self.acting(self.ends[side], actions))

        async def acting(self, end, actions):
            for name, size in actions:
                end.do(name, size)

        @rule(side=either, act=action)
        def while_it_does_not_run(self, side, act):
            self.ends[side].do(*act)

        @rule(side=either, callback=st.sampled_from(CALLBACKS), actions=st.lists(action, min_size=1, max_size=3))
        def inside(self, side, callback, actions):
            self.ends[side].inside[callback] = actions

        @rule(count=st.sampled_from([1, 1, 2, 5]))
        def turns(self, count):
            self.loop.run_until_complete(self.turning(count))

        async def turning(self, count):
            for _ in range(count):
                await asyncio.sleep(0)

        @rule(direction=either, count=st.sampled_from([1, 7, 1000, 20_000, 10**6]))
        def carry(self, direction, count):
            self.network.carry(direction, count)
            self.turns(1)

        @rule(often=st.sampled_from([0, 0, 0, 1]), how=st.sampled_from(["reset", "hang up", b"garbage" * 10]))
        def cut(self, often, how):
            if often and (road != "plain" or type(how) is str):
                self.network.cut(how)

        @invariant()
        def lawful(self):
            if self.loop is not None:
                assert [fault for end in self.ends for fault in end.faults] == []
                assert self.reports == []

        # --- The end

        def settle(self):
            """Let everything arrive that is on its way."""
            calm = 0
            before = None
            for _ in range(1000):
                for end in self.ends:
                    end.do("resume", 0)
                moved = self.network.carry(0, 10**6) + self.network.carry(1, 10**6)
                self.turns(4)
                now = [
                    (end.received, len(end.calls), 0 if end.lost else end.transport.get_write_buffer_size())
                    for end in self.ends
                ]
                if moved or now != before:
                    calm = 0
                else:
                    calm += 1
                    if calm == 3:
                        return
                    time.sleep(0.0005)
                before = now
            pytest.fail("it does not come to rest")

        def teardown(self):
            if self.loop is None:
                return
            try:
                self.settle()
                self.lawful()
                for end in self.ends:
                    self.check(end)
            finally:
                self.stop()
            self.lawful()
            for end in self.ends:
                assert len(end.lost) == 1, f"{end.name}: {end.calls}"
                assert end.transport.get_write_buffer_size() == 0
                assert end.transport.is_closing()
            for sock in self.network.ends:
                assert sock.fileno() < 0

        def check(self, end):
            """What must have come of what the other end did."""
            other = end.other
            story = f"{end.name}: {end.calls} {end.ended} {end.lost}, {other.name}: {other.calls} {other.ended} {other.lost}"
            # asyncio: who closes reads no more, so two who have much to send to one another wait for ever; not with TLS.
            wait = road == "plain" and end.closes and other.closes and not (end.lost or other.lost)
            if end.closes and not wait:
                assert end.lost, f"closed and not lost: {story}"
            if self.network.tampered:
                return
            got_all = end.received >= other.sent
            if other.ended != "abort" and end.ended not in ("close", "abort"):
                told = any(end.lost) or (road != "plain" and any(other.lost))
                assert got_all or told, f"{end.received} of {other.sent} bytes, and nothing told: {story}"
                if other.ended in ("close", "eof"):
                    assert "eof" in end.calls or end.lost, f"no EOF: {story}"
            if not {end.ended, other.ended} & {"close", "abort"} and not (end.closes or other.closes):
                assert not end.lost, f"lost for no reason: {story}"
                assert got_all, story

        def stop(self):
            for end in self.ends:
                if end.transport is not None:
                    end.do("abort", 0)
            self.network.close()
            self.turns(5)
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    return Connection


@pytest.fixture
def run_machine(new_loop, caplog):
    caplog.set_level(logging.CRITICAL, "asyncio")  # writes in vain are told of there

    def run(examples, *args, **kwargs):
        run_state_machine_as_test(
            machine_of(new_loop, *args, **kwargs),
            settings=settings(
                max_examples=EXAMPLES or examples,
                stateful_step_count=25,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )

    return run


@pytest.mark.timeout(0 if EXAMPLES else 30)
def test_on_a_socket_pair(run_machine):
    run_machine(40, "plain", None, None, direct=True)


@pytest.mark.timeout(0 if EXAMPLES else 30)
def test_through_a_network(run_machine, tcp_pair):
    run_machine(40, "plain", None, tcp_pair)


@pytest.mark.timeout(0 if EXAMPLES else 30)
def test_tls_through_a_network(run_machine, world):
    run_machine(20, world.road, (world.client_context(), world.server_context()), world.tcp_pair)


@pytest.mark.timeout(0 if EXAMPLES else 30)
def test_tls_on_a_socket_pair(run_machine, world):
    run_machine(20, world.road, (world.client_context(), world.server_context()), None, direct=True)


@pytest.mark.timeout(0 if EXAMPLES else 30)
@pytest.mark.parametrize("road", ["upgraded", "inside"])
def test_tls_by_start_tls(run_machine, world, road):
    run_machine(12, road, (world.client_context(), world.server_context()), world.tcp_pair)
