"""The faulty servers of examples/: what cede's commands print names the cause of each, as docs/walkthroughs.md tells."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "walkthroughs.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.linux("elsewhere a loop's time is not told, nor who is dead"),
    pytest.mark.timeout(120),
]

# Before Python 3.13 a function's variable cannot be read without harm, so the queue has no name there.
_JOBS = "jobs" if sys.version_info >= (3, 13) else "(?:jobs|0x[0-9a-f]+)"
# What names the cause, for each thing that is printed: who, where, and what kind of fault.
CAUSES = {
    "kept_lock": {
        "ps": r"■ task 'stock of pears' is in Lock stock_lock, and waits for StreamReader.readline: ask_warehouse"
        r" kept_lock.py:(?P<line>\d+) <- in_stock kept_lock.py:\d+ .*; \d tasks? waits? for the Lock",
    },
    "blocking_dns": {
        "during": r"▲ task 'mail from eve@slow.example' blocks the loop for .*: getaddrinfo socket.py:\d+ <-"
        r" exists blocking_dns.py:(?P<line>\d+) <- check ",
        "after": r"▲ task 'mail from eve@slow.example' blocked the loop for .*: getaddrinfo socket.py:\d+ <-"
        r" exists blocking_dns.py:(?P<line>\d+) <- check ",
    },
    "full_queue": {
        "ps": rf"≡ Queue {_JOBS} is full, 3 of 3 items, and nobody waits in its get\(\); \d in put\(\) for up to .*,"
        r" as task 'picture \d+x480' at full_queue.py:(?P<line>\d+)",
        "show": r"  shrink \(shrink, /\S+/full_queue.py:(?P<line>\d+)\) ended with an exception at ",
    },
    "slow_pattern": {
        "show": r"  the step of check of 26 letters \(serve, /\S+/slow_pattern.py:(?P<line>\d+)\) at \S+ s took ",
        "ps": r"▲ task 'check of 26 letters' blocked the loop for .*: check slow_pattern.py:(?P<line>\d+) <- serve ",
    },
    "killed": {
        "show": r"  200 tasks of tell_customer \(killed.py:(?P<line>\d+)\) lived, the oldest .* old; waiting for an event",
    },
}
# What stands in the line that is named.
LINES = {
    ("kept_lock", "ps"): "answer = await reader.readline()",
    ("blocking_dns", "during"): "return bool(socket.getaddrinfo(domain, 25))",
    ("blocking_dns", "after"): "return bool(socket.getaddrinfo(domain, 25))",
    ("full_queue", "ps"): "await jobs.put((size, done))",
    ("full_queue", "show"): "async def shrink(jobs):",
    ("slow_pattern", "show"): "async def serve(reader, writer):",
    ("slow_pattern", "ps"): 'return "words" if WORDS.match(text) else "no words"',
    ("killed", "show"): "async def tell_customer(number, letter):",
}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("walkthroughs", ROOT / "scripts" / "walkthroughs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(name: str, part: str, printed: str) -> None:
    found = re.search(CAUSES[name][part], printed)
    assert found, printed
    source = (ROOT / "examples" / "faulty" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert source[int(found["line"]) - 1].strip() == LINES[name, part]


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_found(name: str) -> None:
    walkthroughs = load()
    if name == "blocking_dns" and not walkthroughs.can_have_a_nameserver():
        pytest.skip("only root can give a process a nameserver of its own")
    printed = walkthroughs.CASES[name]()
    assert printed.keys() == CAUSES[name].keys()
    for part, text in printed.items():
        check(name, part, text)


@pytest.mark.parametrize(("name", "part"), LINES)
def test_the_page_shows_it(name: str, part: str) -> None:
    block = PAGE.partition(f"<!-- {name} {part} -->\n```console\n")[2].partition("\n```\n")[0]
    check(name, part, block)
