"""The table of docs/simulation.md is what was measured."""

from __future__ import annotations

import json

from . import __main__ as zoo


def test_the_page_has_the_table_of_what_was_measured() -> None:
    assert f"{zoo.BEGIN}\n{zoo.table(zoo.FOLDER)}\n{zoo.END}" in zoo.PAGE.read_text(encoding="utf-8")


def test_each_bug_was_found_in_every_search_and_no_mended_program_failed() -> None:
    files = sorted(zoo.FOLDER.glob("*.json"))
    assert files
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))
        assert {name for name, row in rows.items() if row["missed"] or row["false alarms"]} == set()
