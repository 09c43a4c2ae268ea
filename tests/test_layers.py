"""The law of the house: imports point down only, and a file stays small enough to be read.

`ORDER` below is the order of the modules, lowest first; it is the order of docs/architecture.md. A module may import
what stands before it and nothing else, wherever in the file the import stands; only what is imported `if
TYPE_CHECKING` is free, because it never runs. A new module must be given its place here.
"""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGE = SRC / "cede"

MAX_FILE_LINES = 700
MAX_HEADER_LINES = 300
MAX_FUNCTION_LINES = 60

LAYERS: dict[str, str] = {
    "0 beside": """
        _pure _portable _version
    """,
    "1 engine": """
        engine
        engine.assumptions
        engine.own_calls engine.native engine.syscalls engine.ticks engine.waited engine.records engine.pulse engine.ring
        engine.forks engine.running engine.reports engine.handles engine.timers
        engine.clock engine.farewell engine.sentry engine.watch
        engine.pollers engine.pollers.base engine.pollers.epoll engine.pollers.select
        engine.pollers.face
        engine.waker engine.descriptors engine.loop engine.futures engine.awaitables engine.await_slots engine.tasks
        engine.joins
    """,
    "2 io": """
        io
        io.stock_streams io.blocking
        io.write_buffer io.channel io.endpoint io.stream_transport io.stream_buffer io.stream_ends
        io.socket_waits io.pipe_transport io.datagram_transport io.listener
        io.tls_transport io.tls_socket io.tls_bytes
    """,
    "3 net": """
        net
        net.awaiting net.executor net.resolve net.staggered net.start_tls net.sockets net.closings net.connect net.server net.serve
        net.datagram net.pipes net.sendfile net.signals net.popen net.children
    """,
    "4 loop": """
        internals eager event_loop policy
    """,
    "5 library": """
        exceptions protocols transports coroutines copying
        events futures waitlines mixins locks queues timeouts taskgroups
        spawning waiting gathering tasks staggered
        threads runners streams subprocess graph chance
        base_events base_futures base_subprocess base_tasks constants format_helpers log
        selector_events sslproto trsock unix_events
    """,
    "6 door": """
        observe observe.processes observe.handing_over observe.stacks observe.callbacks observe.resources observe.words
        observe.ages observe.counters observe.stalls observe.snapshot
        observe.leaked observe.folders observe.mirror observe.takers observe.listener
        observe.schema observe.turns observe.chrome observe.page observe.export observe.stock_waits observe.recorder
        observe.prometheus_text observe.otel
        observe.history observe.waits observe.lints observe.last_words observe.graph observe.cancels observe.watcher observe.asked observe.plugin
        observe.layout observe.describe observe.reporting
        simulation.current simulation.errors simulation.mixing simulation.choices simulation.clock simulation.notes simulation.trace simulation.picture
        simulation.inplace simulation.seeding
        simulation.files simulation.addresses simulation.options simulation.tcp simulation.datagrams simulation.local
        simulation.kernel simulation.sockets simulation.poller simulation.turns simulation.polling simulation.streams simulation.disk
        simulation.tls simulation.file_captures simulation.children simulation.captures simulation.faults simulation.names simulation.links simulation.keepalive simulation.network simulation.real_machine simulation.powers
        simulation.undo simulation.strategies simulation.order simulation.in_order simulation.hosts simulation.programs simulation.report simulation.threads simulation.waits simulation.stand_ins simulation.loops simulation.other_loops simulation.world
        simulation.outside simulation.running
        simulation.bounded simulation.shrink simulation.token simulation.exploring simulation.plugin simulation
        __init__ _command _command.messages _command.as_uvloop _command.as_uvicorn_auto _command.other_loops
        _command.program _command.run _command.record _command.rings _command.strangers _command.attach _command.ask _command.show _command.repl
        simulation.lookout simulation.command simulation.hypothesis
        _command.tree _command.processes _command.ps
        _command.looking _command.columns _command.screens _command.console _command.top
        __main__
    """,
}
ORDER = {
    "cede." + name if name != "__init__" else "cede": rank
    for rank, name in enumerate(name for names in LAYERS.values() for name in names.split())
}


# -- reading the sources -----------------------------------------------------------------------------------------------


def source_of(module: str) -> Path:
    path = SRC / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_of(path) for path in PACKAGE.rglob("*.py"))
PXDS = sorted(path for path in PACKAGE.rglob("*.pxd"))
HEADERS = sorted(PACKAGE.rglob("*.h"))
# A .pxd that calls C, a .py with the same in Python, never compiled.
TWINS = (
    "engine/sentry", "engine/native", "engine/syscalls", "engine/ticks", "engine/records", "engine/await_slots",
    "simulation/mixing",
)  # fmt: skip
COMPILED = sorted(
    module_of(path)
    for path in PXDS
    if path.stem != "__init__" and path.relative_to(PACKAGE).with_suffix("").as_posix() not in TWINS
)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk `tree` without what stands under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                yield branch
                yield from running_nodes(branch)
            continue
        yield node
        yield from running_nodes(node)


def resolve(module: str, level: int, name: str) -> str:
    """Return the absolute name of `from <level dots><name> import …` written in `module`."""
    if level == 0:
        return name
    is_package = source_of(module).name == "__init__.py"
    base = module.split(".")
    base = base[: len(base) - level + (1 if is_package else 0)]
    return ".".join([*base, name] if name else base)


def named(target: str, names: list[str]) -> set[str]:
    """Return the modules that `from target import names` imports: submodules where they are such, else `target`."""
    children = {f"{target}.{name}" for name in names if f"{target}.{name}" in MODULES}
    return children if len(children) == len(names) else children | {target}


def imports_of_py(module: str) -> set[str]:
    found: set[str] = set()
    for node in running_nodes(parse(source_of(module))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            target = resolve(module, node.level, node.module or "")
            found |= named(target, [alias.name for alias in node.names])
    return {name for name in found if name == "cede" or name.startswith("cede.")}


def imports_of_pxd(path: Path) -> set[str]:
    module = module_of(path)
    found: set[str] = set()
    for dots, name, names in re.findall(r"^from\s+(\.*)([\w.]*)\s+cimport\s+([^#\n]+)", path.read_text(), re.M):
        target = resolve(module, len(dots), name)
        found |= named(target, [part.split()[0] for part in names.strip("() ").split(",") if part.strip()])
    return {name for name in found if name == "cede" or name.startswith("cede.")}


# -- the order ---------------------------------------------------------------------------------------------------------


def test_every_module_has_its_place() -> None:
    missing = [module for module in MODULES if module not in ORDER]
    assert not missing, f"give these a place in LAYERS (and in docs/architecture.md): {missing}"
    gone = [module for module in ORDER if module not in MODULES]
    assert not gone, f"these have a place in LAYERS, and no file: {gone}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    imported = imports_of_py(module)
    pxd = source_of(module).with_suffix(".pxd")
    if pxd.exists() and pxd.name != "__init__.pxd":
        imported |= imports_of_pxd(pxd)
    # A package's name in an import means its __init__; a module always imports the packages it stands in.
    imported -= {module} | {module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1) if module != "cede"}
    upward = sorted(name for name in imported if ORDER.get(name, 10_000) >= ORDER.get(module, -1))
    assert not upward, f"{module} imports what stands above or beside it: {upward}"


ALONE = """
import asyncio, importlib, os, sys, types
package = types.ModuleType("cede")     # stands in for cede/__init__.py, which would import everything
package.__path__ = [sys.argv[1]]
sys.modules["cede"] = package
if os.environ.get("CEDE_PURE", "") not in ("", "0"):
    importlib.import_module("cede._pure").install()
for name in sys.argv[2:]:
    if not (pid := os.fork()):
        print(name, importlib.import_module(name).__file__, flush=True)
        os._exit(0)                    # what raises before this prints its traceback, and is missing in the output
    os.waitpid(pid, 0)
"""


@pytest.fixture(scope="module")
def imported_alone() -> tuple[dict[str, str], str]:
    """Import each module in a process where it is the first of cede's; return their files, and what was complained.

    The processes are forks of one that has imported the standard library's part: that takes most of the time.
    """
    import cede

    names = [module for module in MODULES if module not in ("cede", "cede.__main__")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, cede.__path__[0], *names],
        capture_output=True,
        text=True,
        timeout=110,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines()), done.stderr


@pytest.mark.timeout(120)  # the first of them waits for a hundred and fifty processes
@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("cede", "cede.__main__")])
def test_imports_alone(module: str, imported_alone: tuple[dict[str, str], str], pytestconfig: pytest.Config) -> None:
    """Each module can be the first of cede's that a process imports; and it comes in the speed that was asked for."""
    files, complaints = imported_alone
    assert module in files, complaints
    expected = module in COMPILED and not pytestconfig.getoption("pure")
    compiled = not files[module].endswith(".py")
    assert compiled is expected, f"it came from {files[module]}"


# -- compiled and interpreted ------------------------------------------------------------------------------------------


def test_the_list_of_compiled_modules_is_the_set_of_pxd_files() -> None:
    listed = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["COMPILED_MODULES"]
    assert sorted(listed) == COMPILED
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("module", COMPILED)
def test_no_compiled_module_holds_a_coroutine_function(module: str) -> None:
    """Compiled coroutines break `inspect`, `print_stack` and repr, and are slower than interpreted ones."""
    found = [node.lineno for node in ast.walk(parse(source_of(module))) if isinstance(node, ast.AsyncFunctionDef)]
    assert not found, f"async def in lines {found}"


@pytest.mark.parametrize("module", COMPILED)
def test_compiled_modules_are_plain_python(module: str) -> None:
    """No `import cython`, no directive comments: setup.py is the only place for directives."""
    text = source_of(module).read_text(encoding="utf-8")
    assert not re.search(r"^#\s*cython:", text, re.M), "directives belong in setup.py"
    assert not re.search(r"^#\s*cython:", source_of(module).with_suffix(".pxd").read_text(encoding="utf-8"), re.M)


UNTOLD = {list.__getitem__: 2}  # builtins that do not tell how many arguments they take


def arity(function: Callable[..., object]) -> int:
    """Return how many arguments it has; a builtin that does not tell is taken to have none, but for those above."""
    if function in UNTOLD:
        return UNTOLD[function]
    try:
        return len(signature(function).parameters)
    except ValueError:
        return 0


def twin_functions_py(path: Path) -> dict[str, int]:
    """Return the public functions of a twin: name → number of arguments; `monotonic = time.monotonic` is one too."""
    namespace = runpy.run_path(str(path), run_name="cede.engine.twin")
    found = {}
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = len(node.args.posonlyargs) + len(node.args.args)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            found.update({name: arity(namespace[name]) for name in names if callable(namespace[name])})
    return {name: count for name, count in found.items() if not name.startswith("_")}


def twin_functions_pxd(path: Path) -> dict[str, int]:
    """Read the `cdef inline` functions of a .pxd textually: name → number of arguments."""
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    heads = re.findall(
        r"^cdef\s+inline\s+(?:\([^()]*\)\s+)?[^\n(=]*?\b(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)[^\n]*:", text, re.M
    )
    return {
        name: len([arg for arg in re.sub(r"\([^()]*\)|\[[^\]]*\]", "", arguments).split(",") if arg.strip()])
        for name, arguments in heads
        if not name.startswith("_")
    }


def test_the_reader_of_pxd_files_reads_them(tmp_path: Path) -> None:
    """The next test compares what a regular expression found: see that it finds what is there."""
    pxd = tmp_path / "native.pxd"
    pxd.write_text(
        "cdef extern from 'x.h':\n    int epoll_wait(int, void*) nogil\n"
        "cdef inline object resume(object coro, object value):  # (twin)\n    pass\n"
        "cdef inline long long now() noexcept nogil:\n    pass\n"
        "cdef inline bint same(dict a, (int, int) b, unsigned char* buffer,\n"
        "                      Py_ssize_t n=0) except -1:\n    pass\n"
        "cdef inline (int, int) event(object buffer) noexcept:\n    pass\n"
        "cdef inline int _private(int a):\n    pass\n"
    )
    assert twin_functions_pxd(pxd) == {"resume": 2, "now": 0, "same": 4, "event": 1}


@pytest.mark.parametrize("twin", TWINS)
def test_the_twins_have_the_same_functions(twin: str) -> None:
    """A function that only the .py or only the .pxd has would work in one speed only."""
    interpreted = twin_functions_py((PACKAGE / twin).with_suffix(".py"))
    assert interpreted
    assert interpreted == twin_functions_pxd((PACKAGE / twin).with_suffix(".pxd"))


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_readable(module: str) -> None:
    path = source_of(module)
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES, f"{lines} lines: split it"
    long = [
        f"{node.name}: {length} lines"
        for node in ast.walk(parse(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long, f"longer than {MAX_FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples", "scripts"])
def test_no_file_is_long(folder: str) -> None:
    files = [path for path in (SRC.parent / folder).rglob("*") if path.suffix in (".py", ".pxd", ".sh", ".c", ".h")]
    lengths = {str(path): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_headers_are_small_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("/* "), "a header begins by saying what it is for"
    assert text.count("\n") < MAX_HEADER_LINES, "split it"


@pytest.mark.parametrize("path", PXDS, ids=lambda path: path.stem)
def test_no_c_hides_in_a_pxd(path: Path) -> None:
    """In a string no editor, formatter, analyser or sanitizer sees it: it belongs in a header."""
    assert not re.search(r"cdef extern from [^\n]*:\n\s*\"\"\"", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_every_file_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(parse(source_of(module))), "a file begins with a docstring: what it is for, its law"


def test_tracebacks_show_no_comments_for_type_checkers() -> None:
    """Lines that raise, or that an exception passes through, stand in the tracebacks of users' programs."""
    kept = {"cede.locks": 1, "cede._portable": 2}  # in an __init_subclass__; in what a switch for tests asks for
    for path in sorted(PACKAGE.rglob("*.py")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if "# type: ignore" in line]
        inside = [line for line in lines if not line.startswith(("class ", "def ", "from ", "import ", "ssl = None"))]
        assert len(inside) == kept.get(module_of(path), 0), (path, inside)
