"""A failure as a page: who did what, which packet was on its way from when to when, and the choices of the story."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from cede.simulation import World, explore


async def serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.readline())
        except OSError:
            pass
        writer.close()

    async with await asyncio.start_server(answer, "0.0.0.0", 80) as server:
        await server.serve_forever()


async def in_time(world: World) -> None:
    server = world.host("server", serve)
    world.link("main", "server", latency=0.001, oneway=True)  # so it is the answer that is late
    reader, writer = await asyncio.open_connection("10.0.0.2", 80)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(0.008):
            await reader.readline()
    finally:
        server.power_off()
        writer.close()
        await asyncio.sleep(0.1)


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r"^const data = (\{.*\});$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_failure_is_a_page_in_the_viewer_of_the_recorder(tmp_path: Path) -> None:
    (failure,) = explore(in_time, seeds=range(100), first=True, late=False, shrink_seconds=3600).failures
    failure.write(str(tmp_path), "late")
    assert {path.name for path in tmp_path.iterdir()} == {"late.txt", "late.html", "late.json"}
    data = data_of(tmp_path / "late.html")
    rows = {number: label for number, label, *_ in data["tasks"]}
    assert {"main → server, main/1", "server → main, main/1", "server answer#1", "main main"} <= set(rows.values())
    by_row: dict[str, list[tuple[str, float, str]]] = {}
    for kind, who, begin, ran, _, _, _, how, _, _, text in data["events"]:
        if data["kinds"][kind] == "mark":
            by_row.setdefault("marks", []).append((text, begin, how))
        else:
            by_row.setdefault(rows[who], []).append((text, ran, how))
    told, raised = (text for text, _, _ in by_row["marks"])
    assert raised == "TimeoutError: "
    assert told == f"{failure.story[0].where}: {failure.story[0].what}"
    packets = by_row["main → server, main/1"] + by_row["server → main, main/1"]
    (late,) = (ran for text, ran, how in packets if text in ("connect", "6 bytes") and ran > 1000)
    assert f"{late / 1e3:.3g} ms on its way" in told  # the bar is as long as the story says
    assert ("close, never arrived", "failed") in [(text, how) for text, _, how in by_row["main → server, main/1"]]
    for cause, effect in data["wakes"]:
        assert data["events"][cause][2] <= data["events"][effect][2]
    assert len(data["wakes"]) >= 4
