"""Files of a host: what the program sees of them, and what is left when the power goes."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from cede import simulation
from cede.simulation import World
from cede.simulation.choices import Replay
from cede.simulation.running import begin, opened

FOLDER = Path("/tmp/a folder of no real machine")


def outcomes(write: Any, values: dict[str, float] | None = None) -> dict[str, bytes]:
    """Run `write` on a host, take its power, start it again; return what its files then hold."""
    kept = {(f"server/{name}/unsynced", 1): value for name, value in (values or {}).items()}

    async def main(world: World) -> dict[str, bytes]:
        async def nothing() -> None:
            pass

        host = world.host("server", nothing)

        async def prepare() -> None:
            FOLDER.mkdir()
            for place in (FOLDER.parent, FOLDER):
                number = os.open(place, os.O_RDONLY)
                os.fsync(number)
                os.close(number)

        async def write_it() -> None:
            write()

        async def look() -> dict[str, bytes]:
            return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}

        await host.run(prepare)
        await host.run(write_it)
        host.power_off()
        host.restart()
        await asyncio.sleep(0.1)
        found: dict[str, bytes] = await host.run(look)
        return found

    with opened(strategy=Replay(kept)) as world:
        result: dict[str, bytes] = begin(main, world)
    assert not FOLDER.exists()
    return result


def three_writes() -> None:
    with (FOLDER / "log").open("wb", buffering=0) as file:
        for word in (b"one.", b"two.", b"three."):
            file.write(word)


def test_what_is_not_synced_is_kept_lost_or_torn() -> None:
    assert outcomes(three_writes) == {"log": b"one.two.three."}
    assert outcomes(three_writes, {"log": 0.999}) == {"log": b""}
    assert outcomes(three_writes, {"log": 0.5}) == {"log": b"one.tw"}
    assert outcomes(three_writes, {"names": 0.999}) == {}


def test_what_is_synced_is_safe() -> None:
    def write() -> None:
        with (FOLDER / "log").open("wb") as file:
            file.write(b"safe")
            file.flush()
            os.fsync(file.fileno())
            file.write(b" or not")
        number = os.open(FOLDER, os.O_RDONLY)
        os.fsync(number)
        os.close(number)

    assert outcomes(write, {"log": 0.999, "names": 0.999}) == {"log": b"safe"}


def test_a_rename_without_a_sync_of_the_folder_may_be_undone() -> None:
    def write() -> None:
        (FOLDER / "state").write_bytes(b"old")
        for name in ("state", ""):
            number = os.open(FOLDER / name, os.O_RDONLY)
            os.fsync(number)
            os.close(number)
        (FOLDER / "state.new").write_bytes(b"new")
        number = os.open(FOLDER / "state.new", os.O_RDONLY)
        os.fsync(number)
        os.close(number)
        os.replace(FOLDER / "state.new", FOLDER / "state")
        assert (FOLDER / "state").read_bytes() == b"new"

    assert outcomes(write) == {"state": b"new"}
    assert outcomes(write, {"names": 0.5}) == {"state": b"old", "state.new": b"new"}
    assert outcomes(write, {"names": 0.999}) == {"state": b"old"}


def test_files_as_programs_use_them(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("from the real disk\n")

    async def main() -> None:
        assert real.read_text() == "from the real disk\n"
        with real.open("a") as file:
            file.write("and more\n")
        assert real.read_text().splitlines() == ["from the real disk", "and more"]
        with real.open("r+b") as both:
            both.seek(5)
            both.write(b"THE")
            both.seek(0)
            assert both.read(8) == b"from THE"
            both.truncate(8)
        assert real.stat().st_size == 8
        new = tmp_path / "new"
        assert not new.exists()
        with new.open("x") as file:
            file.write("once")
        with pytest.raises(FileExistsError):
            new.open("x")
        assert sorted(os.listdir(tmp_path)) == ["new", "real"]
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "inside").write_bytes(b"1")
        with pytest.raises(OSError, match="not empty"):
            (tmp_path / "folder").rmdir()
        os.remove(tmp_path / "folder" / "inside")
        (tmp_path / "folder").rmdir()
        real.unlink()
        with pytest.raises(FileNotFoundError, match="real"):
            real.read_text()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "nowhere" / "file").write_text("")
        with pytest.raises(IsADirectoryError):
            tmp_path.write_text("")
        with tempfile.TemporaryFile(dir=tmp_path) as nameless:
            nameless.write(b"for a while")
            nameless.seek(0)
            assert nameless.read() == b"for a while"
        assert os.listdir(tmp_path) == ["new"]

    simulation.run(main)
    assert real.read_text() == "from the real disk\n"
    assert os.listdir(tmp_path) == ["real"]
