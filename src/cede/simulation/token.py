"""Tokens: a failing run in one line of text, and back.

    c1.s17.uniform.shop>alice/3/send/2=f6

Version, seed, strategy, and the choices that were left, each `stream/index=value`; the value is the fraction of a
hexadecimal number. The program's own chance comes from the seed, all other choices are tame. A run with more choices
than fit into 200 characters is kept in a file, whose name is its token then.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from .._version import __version__
from .choices import Name

VERSION = "c1"
LONGEST = 200  # characters
_PLAIN = "/<>:@+* -_"  # characters of a stream's name that stand for themselves


@dataclass(frozen=True)
class Token:
    """What it takes to have a run again."""

    seed: int
    strategy: str = "uniform"  # what found it; only told
    kept: dict[Name, float] = field(default_factory=dict)

    def __str__(self) -> str:
        choices = self.kept.items()
        kept = ",".join(f"{quote(stream, safe=_PLAIN)}/{index}={to_hex(value)}" for (stream, index), value in choices)
        return f"{VERSION}.s{self.seed}.{self.strategy}.{kept}"


def to_hex(value: float) -> str:
    """Return the digits behind the point of a number of [0, 1), in hexadecimal."""
    return f"{round(value * 16**13):013x}".rstrip("0") or "0"


def from_hex(digits: str) -> float:
    """Return the number of [0, 1) with these digits behind the point."""
    return int(digits, 16) / 16 ** len(digits)


def parse(text: str) -> Token:
    """Return the token that a text, or the file of that name, holds. ValueError if it holds none."""
    stated = text
    try:
        if not text.startswith(VERSION + ".") and os.path.exists(text):
            with open(text, encoding="utf-8") as file:
                stated = json.load(file)["token"]
        version, seed, strategy, kept = stated.strip().split(".", 3)
        if version != VERSION or not seed.startswith("s"):
            raise ValueError(version)
        return Token(int(seed[1:]), strategy, dict(_choice(part) for part in kept.split(",") if part))
    except (OSError, ValueError, LookupError, TypeError):
        example = Token(17, "uniform", {("main/late", 1): 0.75})
        raise ValueError(f"{text!r} is no token, and no file with one: they look like '{example}'") from None


def _choice(text: str) -> tuple[Name, float]:
    name, _, value = text.rpartition("=")
    stream, _, index = name.rpartition("/")
    return (unquote(stream), int(index)), from_hex(value)


def save(token: Token, folder: str, name: str) -> str:
    """Write a token into `folder`, with the versions that it belongs to; return the name of the file."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{name}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"token": str(token), **versions()}, file, indent=1)
    return path


def versions() -> dict[str, str]:
    """Return what a token is only sure to replay on."""
    return {"python": platform.python_version(), "cede": __version__}


def changed_versions(path: str) -> dict[str, tuple[str, str]]:
    """Return, of the versions that a file with a token states, those which are others now: (then, now)."""
    with open(path, encoding="utf-8") as file:
        stated = json.load(file)
    return {name: (stated[name], now) for name, now in versions().items() if stated.get(name, now) != now}
