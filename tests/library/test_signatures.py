"""Signatures: those of Python 3.15's asyncio, on every Python; whatever differs stands in a table, with the reason.

`signatures.txt` is what 3.15's asyncio has; to write it anew: `python3.15 tests/library/test_signatures.py`. On each
version cede's signatures are compared with that, and with what the asyncio of that version has beyond it.
`signatures_differ.tsv` holds a row for each difference: name, versions, asyncio's, cede's, why. A difference without a
row fails, and so does a row without a difference.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "signatures.txt"
DIFFERENT = FOLDER / "signatures_differ.tsv"

# Compiled classes of the standard library do not tell everything either; these are what they are made after.
PYTHON_TWINS = {"Future": asyncio.futures._PyFuture, "Task": asyncio.tasks._PyTask}  # type: ignore[attr-defined]

# Special methods that people call, by `with`, `for`, `await` and calling the class.
# The interpreter's own classes, also in cede; and what is EventLoop once more there.
SHARED = {"AbstractEventLoop", "AbstractServer"}
OTHER_NAMES = {"BaseEventLoop", "SelectorEventLoop"}

SPECIAL = {
    "__init__",
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
    "__aiter__",
    "__anext__",
    "__await__",
    "__iter__",
}


def public_names(module: Any) -> Iterator[tuple[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(module.__all__):
            yield name, getattr(module, name)


def signatures(module: Any, twins: dict[str, Any]) -> dict[str, str]:
    """Return name: signature, or kind, of everything public in a package, methods included."""
    found = {}
    for name, value in public_names(module):
        value = twins.get(name, value)
        if name in SHARED or name in OTHER_NAMES:
            continue
        if name.endswith(("ChildWatcher", "Policy")):
            found[name] = "class"  # deprecated
        elif inspect.isclass(value):
            if not issubclass(value, BaseException):
                found.update({f"{name}.{key}": described for key, described in methods(value)})
        elif callable(value):
            found[name] = described_call(value)
        else:
            found[name] = type(value).__name__
    return found


def methods(cls: type) -> Iterator[tuple[str, str]]:
    for name in dir(cls):
        if name.startswith("_") and name not in SPECIAL:
            continue
        value = getattr(cls, name, None)  # Order: cede's loop gets its methods when they are first asked for
        member = inspect.getattr_static(cls, name)
        if getattr(object, name, None) is value and name != "__init__":
            continue
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        if callable(member):
            if name != "__init__" or member is not object.__init__:
                yield name, described_call(member, bound=True)
        else:
            yield name, "attribute"  # a property here is a slot there


def described_call(function: Any, bound: bool = False) -> str:
    """Return a signature; what is `bound` is called without its first argument."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return "(not told)"
    return "(" + ", ".join(map(described_parameter, with_marks(parameters[1 if bound else 0 :]))) + ")"


def with_marks(parameters: list[inspect.Parameter]) -> Iterator[Any]:
    """Yield the parameters, with '*' before those that are keywords only."""
    marked = False
    for parameter in parameters:
        marked = marked or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            marked = True
            yield "*"
        yield parameter


def described_parameter(parameter: Any) -> str:
    if isinstance(parameter, str):
        return parameter
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    if parameter.default is parameter.empty:
        return star + parameter.name
    default = re.sub(r"<(\w+).*>", r"<\1>", repr(parameter.default))
    return f"{star}{parameter.name}={default}"


def read_expected() -> dict[str, str]:
    lines = EXPECTED.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if not line.startswith("#"))  # type: ignore[misc]


def read_different() -> dict[str, tuple[str, str, str]]:
    """Return name: (asyncio's, cede's, why) of this version and speed."""
    import cede

    rows = [line.split("\t") for line in DIFFERENT.read_text(encoding="utf-8").splitlines()[1:]]
    version = "%d.%d" % sys.version_info[:2]
    here = {"all", version, "compiled" if cede.compiled else "plain"}
    return {name: (theirs, ours, why) for name, on, theirs, ours, why in rows if here & {*on.split()}}


@pytest.fixture(scope="module")
def ours() -> dict[str, str]:
    import cede

    return signatures(cede, {})


def test_every_difference_from_3_15_and_from_this_version_has_its_row(ours: dict[str, str]) -> None:
    """What 3.15 has is the measure; beyond that, nothing that this version has is missing."""
    expected = read_expected()
    here = signatures(asyncio, PYTHON_TWINS)
    expected |= {name: described for name, described in here.items() if name not in expected and name not in ours}
    different = {
        name: (expected.get(name, "none"), ours.get(name, "none"))
        for name in sorted(expected.keys() | ours.keys())
        if expected.get(name) != ours.get(name)
    }
    rows = {name: (theirs, cedes) for name, (theirs, cedes, _) in read_different().items()}
    # Before 3.13 built-in methods without arguments, or with one, tell no signature; compiled, these are such.
    untold = set() if sys.version_info >= (3, 13) else {name for name in ours if ours[name] == "(not told)"}
    assert {name.partition(".")[2] for name in untold} <= {"__await__", "__iter__", "send"}
    assert {name: pair for name, pair in different.items() if name not in untold} == {
        name: pair for name, pair in rows.items() if name not in untold
    }


@pytest.mark.skipif(sys.version_info[:2] != (3, 15), reason="it is 3.15 that it is made of")
def test_the_list_is_that_of_3_15() -> None:
    assert read_expected() == signatures(asyncio, PYTHON_TWINS)


if __name__ == "__main__":
    assert sys.version_info[:2] == (3, 15), "the list is that of Python 3.15"
    lines = [f"{name} {described}" for name, described in sorted(signatures(asyncio, PYTHON_TWINS).items())]
    EXPECTED.write_text(
        "\n".join([f"# The public API of CPython {sys.version.split()[0]}'s asyncio, on Linux.", *lines]) + "\n"
    )
