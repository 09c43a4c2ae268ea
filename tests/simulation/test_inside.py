"""cede's own tests of the network, unchanged, inside of worlds: the simulated kernel bears what the real one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cede
from tests.conformance import suite

pytestmark = pytest.mark.build  # takes long, and is the same everywhere

ROOT = Path(__file__).resolve().parents[2]

# What cannot be so there, and why.
LEFT_OUT = {
    "test_wrong_sizes_are_refused_as_the_socket_refuses_them": "words of the interpreter's C code",
    "test_the_portable_poller": "how long a thread takes for real",
    "test_closing_one_of_two_descriptors": "how long a thread takes for real",
    "character_device": "a device of the real machine",
    "terminal": "a device of the real machine",
    "test_a_stranger_with_the_number_keeps_its_mode": "a descriptor of the real machine",
    "test_a_fifo_both_ends_of_which_are_ours": "a named pipe",
    "test_a_tls_socket_is_refused": "no blocking TLS socket is made there",
    "test_what_does_not_go_with_a_socket": "the class of a socket stands in the message",
}
FILES = ["tests/net/test_sockets.py", "tests/net/test_serve.py", "tests/net/test_datagram.py", "tests/net/test_pipes.py",
         "tests/library/test_streams.py"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_tests_of_the_network_pass_in_a_world() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.simulation.inside", "-p", "no:cacheprovider"]
    command += ["-k", " and ".join(f"not {name}" for name in LEFT_OUT), *FILES]
    if not cede.compiled:
        command.append("--pure")
    ended = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=140, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:]


OF_CPYTHON = ["test_buffered_proto", "test_sock_lowlevel", "test_server", "test_streams", "test_sendfile"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not suite.modules(), reason="this Python came without its tests of asyncio (test.test_asyncio)")
def test_cpythons_own_tests_of_the_network_pass_in_worlds() -> None:
    command = [sys.executable, "-m", "tests.simulation.conformance", *OF_CPYTHON]
    environment = {**os.environ, "CEDE_PURE": "" if cede.compiled else "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=290, check=False)
    told = dict(
        line.split(" ", 1) for line in ended.stdout.splitlines() if line.startswith("test_") and ":" not in line
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert list(told) == OF_CPYTHON
    assert "failed" not in ended.stdout, ended.stdout[-3000:]
    assert sum(int(words.split()[words.split().index("passed") + 1]) for words in told.values()) > 120
