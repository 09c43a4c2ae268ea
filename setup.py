"""Build cede: the one list of compiled modules, how they are compiled, and what happens when they cannot be.

Everything that does not concern compiling stands in pyproject.toml. The law of this file: **plain Python always
installs**. The `.py` files are the package; an extension module beside one makes it faster and changes nothing else.
It is all or nothing: compiled modules cimport each other's types, so where one fails to build none is kept.

Environment variables:

    CEDE_EXT=auto      (default) compile if there is a C compiler, else say so in one line and install plain Python
    CEDE_EXT=require   compile, or fail
    CEDE_EXT=off       plain Python
    CEDE_CFLAGS=-O1    more options for the C compiler, after the usual ones
    CEDE_WERROR=1      what the C compiler warns of is an error
    CEDE_DEBUG=1       -O0 -g, bounds checks, line tracing, and an annotated HTML page beside each C file
    CEDE_SANITIZE=1    -Og -g with the address and undefined-behaviour sanitizers (scripts/sanitize.sh)
    CEDE_PORTABLE=1    as where nothing of Linux's own exists (tests/portable.h); for the tests of that
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Each has a `.pxd` beside it, and each `.pxd` has its module here, but the twins (tests/test_layers.py).
COMPILED_MODULES = [
    "cede.engine.handles",
    "cede.engine.timers",
    "cede.engine.clock",
    "cede.engine.pulse",
    "cede.engine.ring",
    "cede.engine.pollers.base",
    "cede.engine.pollers.epoll",
    "cede.engine.waker",
    "cede.engine.descriptors",
    "cede.engine.watch",
    "cede.engine.loop",
    "cede.engine.futures",
    "cede.engine.awaitables",
    "cede.engine.tasks",
    "cede.engine.joins",
    "cede.io.write_buffer",
    "cede.io.channel",
    "cede.io.endpoint",
    "cede.io.stream_transport",
    "cede.io.stream_buffer",
    "cede.io.stream_ends",
    "cede.io.socket_waits",
    "cede.io.pipe_transport",
    "cede.io.datagram_transport",
    "cede.io.listener",
    "cede.io.tls_transport",
    "cede.io.tls_socket",
    "cede.io.tls_bytes",
    "cede.timeouts",
    "cede.waitlines",
    "cede.simulation.current",
    "cede.simulation.choices",
    "cede.simulation.clock",
    "cede.simulation.notes",
    "cede.simulation.poller",
    "cede.simulation.turns",
]

# The only place where directives stand. annotation_typing=False keeps annotations documentation; nonecheck=True makes
# a None in a typed field an AttributeError instead of a crash, at no cost that could be measured. binding=False makes
# methods as the interpreter's own C has them: they refuse a `self` of another class, where Cython's kind takes what it
# is given for one. What a finalizer raises goes to sys.unraisablehook and nowhere else: "unraisable_tracebacks" would
# print it as the end of a program, too, and end the program where it is SystemExit. The signatures are for `help` and
# `inspect.signature` (`native.sign`).
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "nonecheck": True,
    "auto_pickle": False,
    "unraisable_tracebacks": False,
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}
DEBUG_DIRECTIVES = {
    "boundscheck": True,
    "wraparound": True,
    "initializedcheck": True,
    "overflowcheck": True,
    "linetrace": True,
    "profile": True,
}

# Of cede's own C all warnings are wanted. What Cython writes takes arguments that it does not need, in its wrappers,
# and leaves out fields of a class that a Python newer than it has added: they are zero. Of what its helpers for calls
# set by way of a pointer some versions of gcc say that it may not be set. (`make lint` reads the headers alone, without
# these exceptions.)
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
WARNINGS += ["-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-maybe-uninitialized"]

CFLAGS = os.environ.get("CEDE_CFLAGS", "").split()
ROOT = Path(__file__).resolve().parent
# In the package, why it is not compiled though that was wanted: installers hide what the build says, `cede` tells it.
REASON = Path("cede", "not_compiled.txt")
DEBUG = os.environ.get("CEDE_DEBUG", "") not in ("", "0")
PORTABLE = os.environ.get("CEDE_PORTABLE", "") not in ("", "0")
# What goes wrong ends the process. The libraries of the sanitizers must be there before the interpreter begins.
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
SANITIZE = os.environ.get("CEDE_SANITIZE", "") not in ("", "0")
WERROR = os.environ.get("CEDE_WERROR", "") not in ("", "0")
JOBS = os.cpu_count() or 1


def wanted() -> str:
    """What CEDE_EXT asks for: 'auto', 'require' or 'off'."""
    value = os.environ.get("CEDE_EXT", "") or "auto"
    if value not in ("auto", "require", "off"):
        sys.exit(f"cede: CEDE_EXT={value!r} is not understood; use CEDE_EXT=auto, CEDE_EXT=require or CEDE_EXT=off")
    if value == "off" and DEBUG:
        sys.exit("cede: CEDE_EXT=off and CEDE_DEBUG=1 contradict each other: a debug build compiles")
    return value


def extensions(mode: str) -> list[Extension]:
    """Return one Extension a module, its source still the `.py` file: `BuildExt` puts the C file in its place."""
    if mode == "off":
        return []
    macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if DEBUG else []
    portable = ["-include", str(ROOT / "tests" / "portable.h")] if PORTABLE else []
    optimise = ["-O0", "-g"] if DEBUG else ["-Og", "-g"] if SANITIZE else ["-O3", "-g0"]
    sanitizers = SANITIZERS if SANITIZE else []
    warnings = WARNINGS if WERROR else []
    return [
        Extension(
            name,
            ["src/" + name.replace(".", "/") + ".py"],
            define_macros=macros,
            include_dirs=["src"],
            # No -march: a wheel runs on machines it was not built on. -g0 halves the time to compile.
            extra_compile_args=[*optimise, *sanitizers, *CFLAGS, *portable, *warnings],
            extra_link_args=sanitizers,
            optional=mode != "require",
        )
        for name in COMPILED_MODULES
    ]


class BuildExt(build_ext):
    """Translate with Cython, compile with the C compiler, and keep all of it or nothing."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self._required = wanted() == "require"
        self._failure = ""  # why the first extension that failed did so; "" while none has
        if self.parallel is None:
            self.parallel = JOBS

    def build_extensions(self) -> None:
        self._reason_file().unlink(missing_ok=True)
        try:
            self._translate()
        except Exception as exc:
            self._failure = f"Cython: {' '.join(str(exc).split()) or type(exc).__name__}"
        if not self._failure:
            super().build_extensions()
        if self._failure:
            self._fall_back()

    def build_extension(self, ext: Extension) -> None:
        if self._failure:
            return
        try:
            super().build_extension(ext)
        except Exception:
            self._failure = self._failure or self._why_not(ext)

    def copy_extensions_to_source(self) -> None:
        # Order: what stands in the source tree goes first. It may be newer than what replaces it (a debug build), or
        # have nothing to replace it (this build fell back).
        for ext in self.extensions:
            (ROOT / "src" / self.get_ext_filename(ext.name)).unlink(missing_ok=True)
        super().copy_extensions_to_source()

    def _translate(self) -> None:
        """Replace each extension's `.py` by the C file that Cython makes of it, under build/ and never under src/."""
        from Cython.Build import cythonize

        os.chdir(ROOT)
        build_dir = f"build/cython{'-debug' if DEBUG else ''}"  # the C is the same for every Python
        # Cython does not see that `from . cimport native` depends on native.pxd. (Headers are no part of its C: the
        # compiler reads them.)
        made_at = min((path.stat().st_mtime for path in Path(build_dir).glob("**/*.c")), default=0.0)
        changed_at = max(path.stat().st_mtime for path in Path("src").glob("**/*.pxd"))
        translated = cythonize(
            [Extension(ext.name, list(ext.sources)) for ext in self.extensions],
            build_dir=build_dir,
            compiler_directives=DIRECTIVES | (DEBUG_DIRECTIVES if DEBUG else {}),
            include_path=["src"],
            annotate=DEBUG,
            nthreads=JOBS,
            force=self.force or changed_at > made_at,
            quiet=True,
        )
        made = {ext.name: ext for ext in translated}
        headers = sorted(map(str, Path("src").glob("**/*.h")))
        for ext in self.extensions:
            ext.sources = made[ext.name].sources
            ext.depends = [*made[ext.name].depends, *headers, "setup.py"]

    def _why_not(self, ext: Extension) -> str:
        """Return why an extension could not be built, as far as that can be seen from outside of the compiler."""
        compiler = self.compiler.compiler_so[0]
        if shutil.which(compiler) is None:
            return f"there is no C compiler {compiler}"
        if not Path(sysconfig.get_path("include"), "Python.h").exists():
            return "Python.h is missing, which some systems have in a package of its own (on Debian: python3-dev)"
        return f"the C compiler {compiler} could not build {ext.name}"

    def _reason_file(self) -> Path:
        return (ROOT / "src" if self.inplace else Path(self.build_lib)) / REASON

    def _fall_back(self) -> None:
        """Remove what was built and say, in one line, that cede will run as plain Python; or that it may not."""
        if self._required:
            sys.exit(f"cede: not compiled, though CEDE_EXT=require asks for it: {self._failure}")
        for ext in self.extensions:
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        self._reason_file().parent.mkdir(parents=True, exist_ok=True)
        self._reason_file().write_text(f"{self._failure}\n", encoding="utf-8")
        # The wheel is one for every machine then, and is called so: py3-none-any.
        self.distribution.ext_modules = []
        wheel = self.distribution.get_command_obj("bdist_wheel", create=False)
        if wheel is not None:
            wheel.root_is_pure = True
        print(
            f"cede: not compiled ({self._failure}): installing plain Python, which does the same more slowly; "
            "CEDE_EXT=require makes this an error",
            file=sys.stderr,
            flush=True,
        )


def main() -> None:
    mode = wanted()
    # What was compiled with other options stands in another folder: it is not made again when they change.
    kind = "debug" if DEBUG else "sanitize" if SANITIZE else "release"
    build_base = f"build/{kind}{'-portable' if PORTABLE else ''}{''.join(CFLAGS)}"
    setup(
        ext_modules=extensions(mode),
        cmdclass={"build_ext": BuildExt},
        options={"build": {"build_base": build_base}},
    )


# Order: Cython translates in child processes, which import this file again where they are not forked.
if __name__ == "__main__":
    main()
