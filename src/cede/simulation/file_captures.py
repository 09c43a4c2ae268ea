"""What stands in place of `open` and of the calls of `os` on paths while a world runs: a host's disk (`disk.py`).

What the program writes, renames or removes is the disk's. What it only reads and has not written is the real file, and
is opened as such.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from . import current
from .disk import Disk, DiskFile, DiskFolder, status_of
from .files import File, error
from .kernel import path_name
from .sockets import is_simulated
from .streams import open_descriptor

Capture = tuple[object, str, object]

_COMPILED = f"{os.sep}__pycache__{os.sep}"
_NAMELESS = getattr(os, "O_TMPFILE", 0)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _disk_and_path(path: Any, dir_fd: int | None = None) -> tuple[Disk | None, str]:
    """The disk of the host that runs, None where the real one is meant; and the path as it knows it.

    A descriptor of a folder stands for its path, as `path` and as `dir_fd`. What Python compiles is kept for real.
    """
    host = current.host()
    if host is None:
        return None, ""
    if is_simulated(path):
        file = host.kernel.descriptors.file(path)
        return (host.kernel.disk, file.path) if isinstance(file, DiskFolder) else (None, "")
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None, ""
    name = os.fsdecode(path)
    if dir_fd is not None and not os.path.isabs(name):
        folder = _disk_and_path(dir_fd)[1]
        if not folder:
            return None, ""
        name = os.path.join(folder, name)
    elif _COMPILED in name:
        return None, ""
    return host.kernel.disk, os.path.abspath(name)


def _opened(disk: Disk, path: str, flags: int) -> int | None:
    """A descriptor of the file at the path; None if that is the real one's affair."""
    host: Any = current.host()
    kernel = host.kernel
    if _NAMELESS and flags & _NAMELESS == _NAMELESS:
        return int(kernel.descriptors.open(DiskFile(kernel, disk.nameless(), flags & os.O_ACCMODE)))
    if not flags & _WRITES and not disk.has(path):
        if not disk.is_folder(path):
            return None
        descriptor: int = kernel.descriptors.open(DiskFolder(kernel, disk, path))
        return descriptor
    if disk.is_device(path):
        return None
    if disk.is_folder(path):
        if flags & _WRITES:
            raise error(errno.EISDIR)
        return int(kernel.descriptors.open(DiskFolder(kernel, disk, path)))
    if not disk.exists(path):
        if not flags & os.O_CREAT:
            raise error(errno.ENOENT)
        inode = disk.create(path)
    elif flags & os.O_CREAT and flags & os.O_EXCL:
        raise error(errno.EEXIST)
    else:
        inode = disk.inode(path)
    return int(kernel.descriptors.open(DiskFile(kernel, inode, flags)))


def _named(exc: OSError, path: Any) -> OSError:
    return OSError(exc.errno, exc.strerror, path)


def _os_open(real: Callable[..., int]) -> Callable[..., int]:
    def open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        disk, name = _disk_and_path(path, dir_fd)
        try:
            number = None if disk is None else _opened(disk, name, flags)
        except OSError as exc:
            raise _named(exc, path) from None
        return real(path, flags, mode, dir_fd=dir_fd) if number is None else number

    return open


def _flags(mode: str) -> int:
    flags = os.O_RDWR if "+" in mode else os.O_RDONLY if "r" in mode else os.O_WRONLY
    for letter, more in (
        ("w", os.O_CREAT | os.O_TRUNC),
        ("x", os.O_CREAT | os.O_EXCL),
        ("a", os.O_CREAT | os.O_APPEND),
    ):
        if letter in mode:
            flags |= more
    return flags


def _builtin_open(real: Callable[..., Any]) -> Callable[..., Any]:
    def open(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        host = current.host()
        if host is not None and is_simulated(file):
            return open_descriptor(host.kernel.descriptors.file(file), file, mode, buffering, *args, **kwargs)
        disk, name = _disk_and_path(file)
        if disk is None:
            return real(file, mode, buffering, *args, **kwargs)
        opener = kwargs.pop("opener", None)
        if opener is not None:
            return open(opener(file, _flags(mode)), mode, buffering, *args, **kwargs)
        try:
            number = None if disk.is_folder(name) or disk.is_device(name) else _opened(disk, name, _flags(mode))
        except OSError as exc:
            raise _named(exc, file) from None
        if number is None:
            return real(file, mode, buffering, *args, **kwargs)
        assert host is not None
        kwargs.pop("closefd", None)
        opened = open_descriptor(host.kernel.descriptors.file(number), number, mode, buffering, *args, **kwargs)
        return opened

    return open


def _on_path(real: Callable[..., Any], ours: Callable[[Disk, str], Any], reads: bool = False) -> Callable[..., Any]:
    """`ours(disk, path)` on a host; of a call that only reads, where the path is the disk's own affair."""

    def call(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
        disk, name = _disk_and_path(path, kwargs.get("dir_fd"))
        if disk is None or (reads and not disk.has(name)):
            return real(path, *args, **kwargs)
        try:
            return ours(disk, name)
        except OSError as exc:
            raise _named(exc, path) from None

    return call


def _renaming(real: Callable[..., None]) -> Callable[..., None]:
    def rename(src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        disk, old = _disk_and_path(src, src_dir_fd)
        if disk is None:
            real(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        new = _disk_and_path(dst, dst_dir_fd)[1]
        host: Any = current.host()
        if old in host.kernel.paths:  # a unix socket's
            host.kernel.paths[new] = host.kernel.paths.pop(old)
            return
        try:
            disk.rename(old, new)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, src, None, dst) from None

    return rename


def _linking(real: Callable[..., None]) -> Callable[..., None]:
    def link(src: Any, dst: Any, **kwargs: Any) -> None:
        disk, old = _disk_and_path(src, kwargs.get("src_dir_fd"))
        if disk is None:
            real(src, dst, **kwargs)
            return
        try:
            disk.link(old, _disk_and_path(dst, kwargs.get("dst_dir_fd"))[1])
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, src, None, dst) from None

    return link


def _no_symlinks(real: Callable[..., None]) -> Callable[..., None]:
    def symlink(src: Any, dst: Any, *args: Any, **kwargs: Any) -> None:
        if _disk_and_path(dst, kwargs.get("dir_fd"))[0] is None:
            real(src, dst, *args, **kwargs)
        else:
            raise OSError(errno.EPERM, "a simulated disk has no symbolic links", src, None, dst)

    return symlink


def _not_a_link(disk: Disk, path: str) -> str:
    raise error(errno.EINVAL if disk.exists(path) else errno.ENOENT)


def _is_there(disk: Disk, path: str) -> None:
    """What changes of a file only what no program looks at: its mode, its owner, its times."""
    disk.touch(path)


def _no_attributes(disk: Disk, path: str) -> list[str]:
    disk.touch(path)
    return []


def _truncating(real: Callable[..., None]) -> Callable[..., None]:
    def truncate(path: Any, length: int) -> None:
        if is_simulated(path):
            os.ftruncate(path, length)
            return
        disk, name = _disk_and_path(path)
        if disk is None:
            real(path, length)
            return
        try:
            disk.inode(name).cut(length)
        except OSError as exc:
            raise _named(exc, path) from None

    return truncate


def _listing(real: Callable[..., Any]) -> Callable[..., Any]:
    def listdir(path: Any = ".") -> Any:
        disk, name = _disk_and_path(path)
        if disk is None:
            return real(path)
        try:
            return disk.names_in(name)
        except OSError as exc:
            raise _named(exc, path) from None

    return listdir


class _Entry:
    """What scandir tells of a name."""

    def __init__(self, disk: Disk, folder: str, name: str, shown: Any) -> None:
        self.name = name
        self.path = name if isinstance(shown, int) else os.path.join(os.fsdecode(shown), name)
        self._disk = disk
        self._where = os.path.join(folder, name)

    def __fspath__(self) -> str:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._disk.is_folder(self._where)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._disk.exists(self._where) and not self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self._where)

    def inode(self) -> int:
        return self.stat().st_ino


class _Entries:
    """What scandir returns."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def _scanning(real: Callable[..., Any], listing: Callable[..., Any]) -> Callable[..., Any]:
    def scandir(path: Any = ".") -> Any:
        disk, folder = _disk_and_path(path)
        if disk is None:
            return real(path)
        return _Entries([_Entry(disk, folder, name, path) for name in listing(path)])

    return scandir


def _status(disk: Disk, path: str) -> os.stat_result:
    return disk.status(path)


def _by_disk_file(real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """`ours(file, …)` for a descriptor of a disk, `real(fd, …)` for any other."""

    def call(fd: Any, *args: Any, **kwargs: Any) -> Any:
        number = fd if isinstance(fd, int) else fd.fileno() if hasattr(fd, "fileno") else fd
        host = current.host()
        if host is None or not is_simulated(number):
            return real(fd, *args, **kwargs)
        file: File = host.kernel.descriptors.file(number)
        if not isinstance(file, (DiskFile, DiskFolder)):
            raise error(errno.EINVAL)
        return ours(file, *args, **kwargs)

    return call


def _removing(real: Callable[..., None]) -> Callable[..., None]:
    """What stands in place of `os.remove`: it removes the paths of unix sockets as well."""
    of_disk = _on_path(real, Disk.remove)

    def remove(path: Any, *, dir_fd: int | None = None) -> None:
        disk, name = _disk_and_path(path, dir_fd)
        host = current.host()
        if disk is None or host is None:
            real(path, dir_fd=dir_fd)
        elif host.kernel.paths and path_name(name) in host.kernel.paths:
            del host.kernel.paths[path_name(name)]
        else:
            of_disk(path, dir_fd=dir_fd)

    return remove


Maker = tuple[str, Callable[[Any], Any]]  # (name in `os`, what makes the replacement of the real function)


def captured() -> list[Capture]:
    """Return what is to be put in place of the real machine's: (owner, attribute, replacement)."""
    opening = _builtin_open(builtins.open)
    return [
        (builtins, "open", opening),
        (io, "open", opening),
        (os, "fsync", _by_disk_file(os.fsync, lambda file: file.sync())),
        (os, "fdatasync", _by_disk_file(os.fdatasync, lambda file: file.sync())),
        (os, "ftruncate", _by_disk_file(os.ftruncate, lambda file, length: file.cut(length))),
        (os, "lseek", _by_disk_file(os.lseek, lambda file, offset, whence: file.seek(offset, whence))),
        (os, "pread", _by_disk_file(os.pread, lambda file, size, offset: file.read_at(size, offset))),
        (os, "pwrite", _by_disk_file(os.pwrite, lambda file, data, offset: file.write_at(data, offset))),
    ]


def on_paths() -> list[Maker]:
    """Return what makes the replacements of `os` on paths.

    They are exchanged in place where that can be: the standard library keeps some of these functions in its classes,
    and in defaults of arguments.
    """
    found: list[Maker] = [
        ("open", _os_open),
        ("listdir", _listing),
        ("scandir", lambda real: _scanning(real, _listing(os.listdir))),
        ("rename", _renaming),
        ("replace", _renaming),
        ("link", _linking),
        ("symlink", _no_symlinks),
        ("truncate", _truncating),
        ("remove", _removing),
        ("unlink", _removing),
        *((name, partial(_on_path, ours=ours)) for name, ours in (("utime", _is_there), ("chown", _is_there))),
        *(
            (name, partial(_on_path, ours=ours))
            for name, ours in (("mkdir", Disk.make_folder), ("rmdir", Disk.remove_folder))
        ),
        *(
            (name, partial(_on_path, ours=ours, reads=True))
            for name, ours in (("readlink", _not_a_link), ("access", Disk.exists), ("listxattr", _no_attributes))
        ),
    ]
    return [(name, maker) for name, maker in found if hasattr(os, name)]


def status_calls() -> list[Maker]:
    """The same of `os.stat`, `os.lstat` and `os.chmod`, which know the paths of sockets, too."""
    return [
        ("stat", partial(_on_path, ours=_status, reads=True)),
        ("lstat", partial(_on_path, ours=_status, reads=True)),
        ("chmod", partial(_on_path, ours=_is_there)),
    ]


def status_of_file(file: Any) -> os.stat_result | None:
    """What fstat tells of a descriptor of a disk, None for any other."""
    return status_of(file.inode) if isinstance(file, (DiskFile, DiskFolder)) else None
