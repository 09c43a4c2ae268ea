"""The test suites of other people's that run on cede: what is run of each, by what road the loop gets in, what is left out.

Versions stand in `requirements/suites.txt`. `left_out/NAME.tsv` names the tests that do not run, and why: they fail on
the standard library's loop too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUIREMENTS = ROOT / "requirements" / "suites.txt"


@dataclass(frozen=True)
class Suite:
    name: str
    arguments: str  # pytest's, from the root of the source tree; {…} stand for variables of the environment
    road: str  # how the loop gets in
    package: str = ""  # what it is called on the index, where not as the suite
    expression: str = ""  # pytest's -k
    setup: str = ""  # a statement to execute before the suite is imported
    seconds: float = 30.0  # a test that takes longer hangs
    copied: tuple[str, ...] = ()  # what is copied out of the tree first, away from a package that is not built
    needs: tuple[str, ...] = ()  # variables of the environment without which it cannot run
    apart: str = ""  # package and version, where it must not be installed beside the others
    in_ci: bool = True

    @property
    def requirement(self) -> str:
        """The package and its version, `anyio==4.16.0`."""
        return self.apart or f"{self.package or self.name}=={versions()[(self.package or self.name).lower()]}"

    @property
    def left_out(self) -> dict[str, str]:
        """The ids of tests that do not run, and why."""
        path = HERE / "left_out" / f"{self.name}.tsv"
        if not path.exists():
            return {}
        lines = path.read_text(encoding="utf-8").splitlines()
        return dict(line.split("\t", 1) for line in lines)


def versions() -> dict[str, str]:
    """The pinned versions, by the names of the packages in lower case."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    found = [re.match(r"([\w.-]+)(?:\[.*\])?==([\w.]+)", line) for line in lines]
    return {match[1].lower(): match[2] for match in found if match}


AIOHTTP = """client_functional web_functional web_websocket_functional client_ws_functional web_sendfile_functional web_server
run_app connector proxy_functional web_urldispatcher test_utils loop pytest_plugin web_middleware web_exceptions web_runner"""
REDIS_LEFT_OUT = "credentials search vsets bloom graph json timeseries cluster sentinel"

SUITES = [
    Suite(
        "anyio",
        "tests -m 'not network'",
        "anyio.run → asyncio.Runner; without its variants for trio and uvloop",
        expression="not trio and not uvloop and not eager",
    ),
    Suite(
        "anyio-eager",
        "tests -m 'not network'",
        "the same with asyncio.eager_task_factory",
        package="anyio",
        expression="eager and not trio and not uvloop",
    ),
    Suite(
        "aiohttp",
        " ".join(f"tests/test_{name}.py" for name in AIOHTTP.split()) + " -p no:codspeed",
        "its pytest plugin → asyncio.new_event_loop; the files that open sockets",
        expression="not benchmark and not uvloop",
    ),
    Suite(
        "tornado",
        "--pyargs tornado.test -o python_files=*_test.py",
        "AsyncIOLoop → asyncio.new_event_loop",
        setup="import logging; logging.getLogger('tornado.access').setLevel('CRITICAL')",
    ),
    Suite(
        "uvicorn",
        "tests",
        "anyio's pytest plugin; its servers → asyncio.SelectorEventLoop",
        expression="not trio and not uvloop and not multiprocess and not reload",
    ),
    Suite("httpcore", "tests/_async", "anyio's pytest plugin", expression="asyncio"),
    Suite("hypercorn", "tests", "pytest-asyncio; its servers → asyncio.new_event_loop", expression="not trio"),
    Suite(
        "redis",
        "tests/test_asyncio "
        + " ".join(f"--ignore=tests/test_asyncio/test_{name}.py" for name in REDIS_LEFT_OUT.split())
        + " -m 'not redismod and not onlycluster and not ssl and not cp_integration' --redis-url {CEDE_TEST_REDIS}",
        "pytest-asyncio; a Redis",
        needs=("CEDE_TEST_REDIS",),
    ),
    Suite(
        "asyncpg",
        "tests --ignore=tests/test__sourcecode.py --ignore=tests/test__environment.py --ignore=tests/certs",
        "asyncio.new_event_loop; a PostgreSQL",
        expression="not TestSSL",
        copied=("tests",),
        needs=("CEDE_TEST_POSTGRES",),
    ),
    Suite("aiofiles", "tests", "pytest-asyncio"),
    Suite("janus", "tests", "pytest-asyncio"),
    # Beyond those that CI runs.
    Suite("httpx", "tests", "anyio's pytest plugin; uvicorn's server", expression="not trio", in_ci=False),
    Suite("starlette", "tests", "anyio's portal → asyncio.Runner", expression="not trio", in_ci=False),
    Suite("sanic", "tests", "its own server → asyncio.new_event_loop; workers", in_ci=False),
    Suite("aioquic", "tests", "unittest with asyncio.run: QUIC over datagrams", in_ci=False),
    Suite("asyncssh", "tests", "asyncio.new_event_loop: SSH, SFTP, tunnels", in_ci=False),
    # A plugin of pytest's that looks into every test.
    Suite("looptime", "tests", "pytest-asyncio, its loops' time replaced", apart="looptime==0.9", in_ci=False),
    Suite("aiotools", "tests", "pytest-asyncio; servers in processes", in_ci=False),
    Suite("pytest-asyncio", "tests", "pytest in pytest", in_ci=False),
    Suite(
        "SQLAlchemy",
        "test/ext/asyncio test/base/test_concurrency.py --db aiosqlite",
        "its bridge to greenlets → asyncio.Runner",
        in_ci=False,
    ),
    Suite("prompt_toolkit", "tests", "asyncio.run, a terminal's input", in_ci=False),
    Suite("jupyter_client", "tests", "pyzmq's sockets; kernels in processes", in_ci=False),
    Suite("aioftp", "tests", "pytest-asyncio: FTP", in_ci=False),
    Suite("zeroconf", "tests", "pytest-asyncio and asyncio.new_event_loop in threads: datagrams", in_ci=False),
    Suite("asgiref", "tests", "pytest-asyncio; threads to and fro", in_ci=False),
    Suite("async-lru", "tests", "pytest-asyncio", in_ci=False),
]
BY_NAME = {suite.name: suite for suite in SUITES}
