"""Running again what failed beside others: what passes by itself is named and counted apart, everything else fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.build
HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "scripts"

BESIDE = "import pathlib\n\ndef test_beside():\n    assert pathlib.Path('alone').exists()\n"
ALWAYS = "def test_always():\n    assert 'what is wrong' == 'what is right'\n"
RARELY = """
import pathlib
def test_rarely():
    count = pathlib.Path("count")
    number = int(count.read_text()) + 1 if count.exists() else 1
    count.write_text(str(number))
    assert number in (2, 3)
"""
DRAWN = "import pathlib, pytest\n\n@pytest.mark.drawn\n" + BESIDE.partition("\n\n")[2]
ENDS = "import os, pathlib\n\ndef test_ends():\n    if not pathlib.Path('alone').exists():\n        os._exit(3)\n"
MANY = "import pathlib, pytest\n\n@pytest.mark.parametrize('n', range(6))\ndef test_many(n):\n    assert pathlib.Path('alone').exists()\n"


def tried(folder: Path, *sources: str) -> tuple[int, str, str]:
    """Run the tests, and again what failed, after which a file `alone` is there; return status, output, last line of the sum."""
    for number, source in enumerate(("def test_good():\n    pass\n", *sources)):
        (folder / f"test_{number}.py").write_text(source)
    shutil.copy(HERE / "conftest.py", folder)
    pytest_ = [sys.executable, "-m", "pytest", "-c", str(HERE.parent / "pyproject.toml"), "--rootdir", str(folder)]
    pytest_ += ["-o", "timeout=50", *(["--pure"] if "--pure" in sys.argv else [])]
    how = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 50}
    first = subprocess.run([*pytest_, "-n", "2", "-o", "cache_dir=kept", str(folder)], **how)
    assert first.returncode == 1
    (folder / "alone").touch()
    again = subprocess.run([sys.executable, SCRIPTS / "again.py", "kept", *pytest_], **how)
    (folder / "log").write_text(first.stdout + again.stdout)
    sum_ = subprocess.run([sys.executable, SCRIPTS / "tally.py", "log"], **how)
    assert sum_.returncode == again.returncode
    return again.returncode, again.stdout, sum_.stdout


def test_what_passes_by_itself_is_named_and_counted_apart(tmp_path: Path) -> None:
    status, output, total = tried(tmp_path, BESIDE)
    assert status == 0
    assert output.count("\n") == 2
    assert "again: test_1.py::test_beside passed by itself, 3 times\n" in output
    assert "failed beside others, and passed by itself: test_1.py::test_beside, 3 times" not in total
    assert "failed beside others, and passed by itself: test_1.py::test_beside\n" in total
    assert " 1 passed, 1 rerun in " in total


@pytest.mark.parametrize("source", [ALWAYS, RARELY], ids=["always", "rarely"])
def test_what_fails_once_more_fails(tmp_path: Path, source: str) -> None:
    """Though others pass by themselves, all count as failed then."""
    status, output, total = tried(tmp_path, BESIDE, source)
    assert status == 1
    assert "failed by itself, too, at try " in output
    assert "    | " in output
    assert " 2 failed, 1 passed in " in total


@pytest.mark.parametrize("source", [DRAWN, ENDS, MANY], ids=["drawn", "ends its process", "many"])
def test_what_is_no_want_of_time_fails(tmp_path: Path, source: str) -> None:
    status, _, total = tried(tmp_path, source)
    assert status == 1
    assert " failed, 1 passed in " in total


def test_three_pythons_share_all_tests(tmp_path: Path) -> None:
    """Each test runs on one of three Pythons in a row."""
    (tmp_path / "test_some.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(30))\ndef test_it(n):\n    pass\n"
    )
    seen: list[str] = []
    for minor in (12, 13, 14):
        conftest = (HERE / "conftest.py").read_text().replace("sys.version_info.minor", str(minor))
        (tmp_path / "conftest.py").write_text(conftest)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            str(HERE.parent / "pyproject.toml"),
            "--rootdir",
            str(tmp_path),
        ]
        command += ["--share", "--collect-only", "-q", *(["--pure"] if "--pure" in sys.argv else []), str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, done.stdout
        names = [line for line in done.stdout.splitlines() if "::" in line]
        assert 0 < len(names) < 30
        seen += names
    assert len(seen) == len(set(seen)) == 30
