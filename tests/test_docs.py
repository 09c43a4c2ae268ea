"""What the documentation shows works: the programs in it are run, and the commands and tests that it names exist."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
NEEDS_MORE = re.compile(r"^\s*(?:from|import) (?:dask|distributed)\b", re.MULTILINE)  # tests/programs has those


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of every code block of that language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(page, text) for page in PAGES for text in fence.findall((ROOT / page).read_text(encoding="utf-8"))]


def is_program(text: str) -> bool:
    """Tell a whole program from a part of one, which uses names that it does not make."""
    whole = "main()" not in text or "def main" in text
    return "import cede" in text and whole and not NEEDS_MORE.search(text)


PROGRAMS = [(page, text) for page, text in blocks("python") if is_program(text)]
PARTS = [(page, text) for page, text in blocks("python") if not is_program(text)]


@pytest.mark.parametrize(("page", "source"), PROGRAMS, ids=[page for page, _ in PROGRAMS])
def test_programs_run(page: str, source: str, run_python: Callable[..., Any], free_port: Callable[[], int]) -> None:
    run_python(source.replace("8888", str(free_port())))


@pytest.mark.parametrize(("page", "source"), PARTS, ids=[page for page, _ in PARTS])
def test_parts_of_programs_are_python(page: str, source: str) -> None:
    compile("async def part():\n" + "".join(f"    {line}\n" for line in source.splitlines()), page, "exec")


def test_there_are_programs_to_run() -> None:
    assert {"README.md", "docs/index.md", "docs/first-steps.md", "docs/faq.md"} <= {page for page, _ in PROGRAMS}
    assert len(PROGRAMS) > len(PARTS)


def test_every_public_object_is_on_the_page_and_says_what_it_is() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in cede.__all__:
        thing = getattr(cede, name)
        if name.startswith("_") or not str(getattr(thing, "__module__", "")).startswith("cede"):
            continue  # a number or a text, or asyncio's own
        assert inspect.getdoc(thing), name
        assert re.search(rf"cede\.{name}$|`{name}`", page, re.MULTILINE), name
        for method in [each for each in vars(thing) if not each.startswith("_")] if inspect.isclass(thing) else ():
            found = getattr(thing, method)
            assert inspect.getdoc(found) or not (inspect.isroutine(found) or isinstance(found, property)), (
                name,
                method,
            )


def test_make_knows_the_targets_that_are_named() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page, text in blocks("console"):
        for targets in re.findall(r"^\$ make((?: [a-z-]+)*)", text, re.MULTILINE):
            assert set(targets.split()) <= known, page


@pytest.mark.parametrize(("page", "least"), [("parity.md", 30), ("compatibility.md", 12), ("debugging.md", 12)])
def test_the_tests_that_are_named_exist(page: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"\| `([^`]+\.py)`: `([^`]+)` \|$", text, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\|.*\btest_.*\|$", text, re.MULTILINE)) > least
    for path, name in rows:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), (path, name)


def test_what_the_page_of_programs_says_is_tested() -> None:
    """Each row names tests that exist; applications have the version that is installed for them."""
    page = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    applications, libraries = page.split("## Libraries")
    installed = (ROOT / "requirements" / "applications.txt").read_text(encoding="utf-8").splitlines()
    tests = (ROOT / "tests" / "programs" / "test_applications.py").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) \| ([\d.]+) \| .* \| `(\w+)` \|$", applications, re.MULTILINE)
    assert len(rows) > 10
    for name, version, test in rows:
        assert f"{name}=={version}" in installed
        assert f"def {test}(" in tests
    files = re.findall(r"`(test_\w+\.py)`", libraries)
    assert len(files) > 15
    assert {name for name in files if not (ROOT / "tests" / "programs" / name).exists()} == set()
