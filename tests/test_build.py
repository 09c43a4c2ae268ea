"""The package as a stranger gets it: built, installed into an empty environment, run far from the source tree.

The law of this file: nothing here looks at the checkout after the sdist is made. Every way to build must end in a
package that works; only `CEDE_EXT=require` may refuse to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.build,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("build"),
]

PROGRAM = """
import asyncio, sys
import cede

async def main():
    async def answer(n):
        await cede.sleep(0.001)
        return n
    results = await cede.gather(*(answer(n) for n in range(10)))
    assert results == list(range(10)), results
    server = await cede.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

cede.run(main())
print("compiled" if cede.compiled else "plain", cede.__file__)
"""


class Outcome(NamedTuple):
    """What a build command did."""

    status: int
    output: str  # stdout and stderr

    def lines_said(self) -> list[str]:
        """The lines in which the build speaks about itself."""
        return [line.strip() for line in self.output.splitlines() if line.strip().startswith("cede:")]


def execute(*command: str | Path, cwd: Path, **env: str) -> Outcome:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CEDE_", "PYTHON", "PYTEST"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=550,
    )
    return Outcome(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, built from a copy of the files that git knows or could know, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    copy = folder / "copy"
    ignored = shutil.ignore_patterns("*.so", "__pycache__", ".*", "build", "dist", "site", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=ignored)
    built = execute(
        sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder / "dist", copy, cwd=folder
    )
    assert built.status == 0, built.output
    (archive,) = (folder / "dist").glob("cede-*.tar.gz")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder / "unpacked", filter="data")
        else:
            tar.extractall(folder / "unpacked")
    (root,) = (folder / "unpacked").iterdir()
    return root


def test_the_sdist_has_all_that_its_targets_read(sdist: Path) -> None:
    """`make docs`, `make bench` and `make test` in it find their files: it has what git has, but for hidden files."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = execute("git", "-c", "safe.directory=*", "ls-files", "-z", cwd=ROOT)
    assert listed.status == 0, listed.output
    tracked = {
        name
        for name in listed.output.split("\0")
        if name and not any(part.startswith(".") for part in Path(name).parts) and (ROOT / name).exists()
    }
    assert not [name for name in sorted(tracked) if not (sdist / name).exists()]


def build_wheel(sdist: Path, folder: Path, **env: str) -> tuple[Outcome, Path | None]:
    """Build a wheel from a fresh copy of the sdist, so that no build sees what another left."""
    source = folder / "source"
    shutil.copytree(sdist, source)
    outcome = execute(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder / "wheels", source,
        cwd=folder, **env,
    )  # fmt: skip
    wheels = list((folder / "wheels").glob("*.whl"))
    return outcome, wheels[0] if wheels else None


def run_installed(wheel: Path, folder: Path) -> list[str]:
    """Install `wheel` into an empty environment and run PROGRAM in an empty folder; return what it printed."""
    venv = folder / "venv"
    made = execute(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    assert made.status == 0, made.output
    python = venv / "bin" / "python"
    installed = execute(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel, cwd=folder
    )
    assert installed.status == 0, installed.output
    empty = folder / "empty"
    empty.mkdir()
    ran = execute(python, "-W", "error", "-c", PROGRAM, cwd=empty)
    assert ran.status == 0, ran.output
    where = execute(venv / "bin" / "cede", "--version", cwd=empty)
    assert where.status == 0, where.output
    speed, file = ran.output.split()
    assert Path(file).is_relative_to(venv), "it ran from somewhere else"
    return [speed, where.output]


def test_compiled_wheel(sdist: Path, tmp_path: Path) -> None:
    outcome, wheel = build_wheel(sdist, tmp_path, CEDE_EXT="require", CEDE_CFLAGS="-O0")
    assert outcome.status == 0, outcome.output
    assert wheel is not None
    assert outcome.lines_said() == []
    assert run_installed(wheel, tmp_path)[0] == "compiled"
    names = zipfile.ZipFile(wheel).namelist()
    assert "cede/py.typed" in names
    assert "cede/engine/loop.py" in names
    assert "cede/engine/loop.pxd" in names
    assert "cede/engine/calling.h" in names
    assert [name for name in names if name.endswith((".c", ".html"))] == ["cede/observe/page.html"]
    assert "cede/not_compiled.txt" not in names
    assert {name.split("/")[0] for name in names} == {"cede", "-".join(wheel.name.split("-")[:2]) + ".dist-info"}
    sources = [p.name for p in (tmp_path / "source" / "src").rglob("*") if p.suffix in (".c", ".so", ".html")]
    assert sources == ["page.html"], "a build writes nothing into src/"


def test_plain_wheel(sdist: Path, tmp_path: Path) -> None:
    outcome, wheel = build_wheel(sdist, tmp_path, CEDE_EXT="off")
    assert outcome.status == 0, outcome.output
    assert wheel is not None
    assert wheel.name.endswith("-py3-none-any.whl")
    assert run_installed(wheel, tmp_path)[0] == "plain"


def test_without_a_compiler_it_installs_all_the_same(sdist: Path, tmp_path: Path) -> None:
    outcome, wheel = build_wheel(sdist, tmp_path, CC="/bin/false")
    assert outcome.status == 0, outcome.output
    assert wheel is not None
    (line,) = outcome.lines_said()
    assert "plain Python" in line
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    # It runs anywhere, so that is what it is called, and no installer takes it for the compiled one.
    assert wheel.name.endswith("-py3-none-any.whl")
    speed, version = run_installed(wheel, tmp_path)
    assert speed == "plain"
    assert "(pure Python, not compiled: the C compiler /bin/false could not build cede." in version


def test_the_reason_is_that_there_is_no_compiler(sdist: Path, tmp_path: Path) -> None:
    outcome, wheel = build_wheel(sdist, tmp_path, CC="no-such-compiler")
    assert outcome.status == 0, outcome.output
    assert wheel is not None
    assert zipfile.ZipFile(wheel).read("cede/not_compiled.txt") == b"there is no C compiler no-such-compiler\n"


def test_without_cython_it_installs_all_the_same(sdist: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "Cython.py").write_text("raise ImportError('No module named Cython')\n")
    source = tmp_path / "source"
    shutil.copytree(sdist, source)
    outcome = execute(sys.executable, "setup.py", "-q", "build", cwd=source, PYTHONPATH=str(hidden))
    assert outcome.status == 0, outcome.output
    (line,) = outcome.lines_said()
    assert "Cython" in line
    assert not list(source.rglob("*.so"))


def test_one_module_that_does_not_compile_takes_the_others_along(sdist: Path, tmp_path: Path) -> None:
    """Compiled modules cimport each other: half of them would not even import."""
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *tasks*) echo "no tasks today" >&2; exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    outcome, wheel = build_wheel(sdist, tmp_path, CC=str(compiler), CEDE_CFLAGS="-O0")
    assert outcome.status == 0, outcome.output
    assert wheel is not None
    assert len(outcome.lines_said()) == 1
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_require_means_it(sdist: Path, tmp_path: Path) -> None:
    outcome, wheel = build_wheel(sdist, tmp_path, CC="/bin/false", CEDE_EXT="require")
    assert outcome.status != 0
    assert wheel is None


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CEDE_EXT": "yes"}, "CEDE_EXT='yes' is not understood; use CEDE_EXT=auto, CEDE_EXT=require or CEDE_EXT=off"),
        ({"CEDE_EXT": "off", "CEDE_DEBUG": "1"}, "contradict"),
    ],
)
def test_a_switch_that_makes_no_sense_is_an_error(env: dict[str, str], words: str) -> None:
    outcome = execute(sys.executable, "setup.py", "--version", cwd=ROOT, **env)
    assert outcome.status != 0
    assert words in outcome.output


def test_the_version_stands_in_one_place(sdist: Path) -> None:
    from cede._version import __version__

    assert sdist.name == f"cede-{__version__}"
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
