"""Tokens: one line of text, there and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cede.simulation.token import Token, changed_versions, from_hex, parse, save, to_hex


@pytest.mark.parametrize(
    "token",
    [
        Token(17),
        Token(17, "pct(3)", {("shop>alice/3/send", 2): 0xF6 / 256}),
        Token(0, "uniform", {("a.b>c/1/send", 0): 0.5, ("main/late", 12): 1 / 3}),
        Token(5, "uniform", {("host,with=odd 'name'/late", 0): 0.25, ("größe/late", 1): 0.123456789}),
    ],
)
def test_a_token_comes_back(token: Token) -> None:
    again = parse(str(token))
    assert again.seed == token.seed and again.strategy == token.strategy
    assert set(again.kept) == set(token.kept)
    assert all(abs(again.kept[name] - value) < 1e-15 for name, value in token.kept.items())
    assert "'" not in str(token) and "\n" not in str(token)


def test_a_token_is_short_and_readable() -> None:
    assert str(Token(17, "uniform", {("shop>alice/3/send", 2): 0xF6 / 256})) == "c1.s17.uniform.shop>alice/3/send/2=f6"


@pytest.mark.parametrize("digits", ["1", "f6", "8", "0001", "fffffffffffff"])
def test_digits(digits: str) -> None:
    assert to_hex(from_hex(digits)) == digits
    assert to_hex(0.0) == "0"


@pytest.mark.parametrize(
    "text", ["", "c1", "c2.s1.uniform.", "c1.1.uniform.", "c1.s1.uniform.a=f", "c1.s1.u.a/1=g", "x.json"]
)
def test_what_is_no_token_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no token"):
        parse(text)


def test_a_token_in_a_file(tmp_path: Path) -> None:
    token = Token(3, "uniform", {("a/send", 1): 0.5})
    path = save(token, str(tmp_path / "failures"), "test_x")
    assert parse(path) == token
    assert changed_versions(path) == {}
    stated = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**stated, "cede": "0.0.1"}))
    assert list(changed_versions(path)) == ["cede"]
