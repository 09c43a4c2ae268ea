"""Disk: the files of a host, and what is left of them when the power goes.

It lies over the real file system: what the program has not written is read from there, and nothing that it writes
gets there. A file's bytes are safe after `fsync` of the file, its name (new, changed or gone) after `fsync` of its
folder. Of the rest the power's end keeps a part that is drawn: of a file's writes the first few, and perhaps a piece of
the next one (a torn write); of a folder's changes the first few. The tame choice keeps all.

A kill loses nothing: the kernel still writes what it was given.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from . import inplace
from .files import IN, OUT, File, error

Change = tuple[int, bytes | None]  # a write (offset, bytes), or a cut at a length (length, None)
Leading = tuple[str, "Inode | None", bool]  # a path, the file it leads to now (None: a folder), False: it is gone


class Inode:
    """A file, whatever its names: its bytes, and what of them is safe."""

    def __init__(self, number: int, content: bytes = b"") -> None:
        self.number = number
        self.data = bytearray(content)
        self.safe = bytes(content)  # as of the last fsync
        self.changes: list[Change] = []  # since then

    def write(self, offset: int, data: bytes) -> None:
        self.changes.append((offset, data))
        _apply(self.data, (offset, data))

    def cut(self, length: int) -> None:
        self.changes.append((length, None))
        _apply(self.data, (length, None))

    def sync(self) -> None:
        self.safe = bytes(self.data)
        self.changes.clear()

    def lose(self, severity: float) -> str:
        """Keep what is safe and a part of the rest: `severity` 0 keeps all. What was lost, in words, or ""."""
        changes, self.changes = self.changes, []
        if not severity or not changes:
            self.sync()
            return ""
        whole, piece = divmod((1.0 - severity) * len(changes), 1)
        kept = changes[: int(whole)]
        offset, data = changes[int(whole)]
        torn = data is not None and int(piece * len(data)) > 0
        if torn:
            assert data is not None
            kept.append((offset, data[: int(piece * len(data))]))
        self.data = bytearray(self.safe)
        for change in kept:
            _apply(self.data, change)
        self.sync()
        return f"{len(changes) - int(whole)} of {len(changes)} writes" + (", one of them torn" if torn else "")


def _apply(data: bytearray, change: Change) -> None:
    offset, new = change
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    if new is None:
        del data[offset:]
    else:
        data[offset : offset + len(new)] = new


class Disk:
    """The files of a host. `names` are its own: {path: Inode, None for a folder}; what is gone stands in `gone`."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.names: dict[str, Inode | None] = {}
        self.gone: set[str] = set()  # paths of the real file system that the program removed
        self._safe: dict[str, Inode | None] = {}  # names as of the last fsync of their folders
        self._safely_gone: set[str] = set()
        self._changes: list[list[Leading]] = []  # each of one call, and safe or lost as a whole
        self._numbers = 0
        self._losses = 0  # of power

    # --- Names ------------------------------------------------------------------------------------

    def has(self, path: str) -> bool:
        """Whether the path is the disk's own affair: written or removed by the program."""
        return path in self.names or path in self.gone

    def exists(self, path: str) -> bool:
        if path in self.names:
            return True
        return path not in self.gone and self._real(path) is not None

    def is_folder(self, path: str) -> bool:
        if path in self.names:
            return self.names[path] is None
        found = None if path in self.gone else self._real(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def is_device(self, path: str) -> bool:
        """Whether it is one of the real machine, as /dev/null: those are no files."""
        found = None if path in self.names or path in self.gone else self._real(path)
        return found is not None and stat.S_ISCHR(found.st_mode)

    def _real(self, path: str) -> os.stat_result | None:
        return _real_status(path)

    def _change(self, *leadings: Leading) -> None:
        self._host.kernel.touch_disk()
        for path, inode, there in leadings:
            if there:
                self.names[path] = inode
                self.gone.discard(path)
            else:
                self.names.pop(path, None)
                self.gone.add(path)
        self._changes.append(list(leadings))

    def inode(self, path: str) -> Inode:
        """The file at a path, taken over from the real file system if need be. OSError as open(2)."""
        found = self.names.get(path)
        if found is not None:
            return found
        if self.is_folder(path):
            raise error(errno.EISDIR)
        if not self.exists(path):
            raise error(errno.ENOENT)
        inode = self._new(_real_bytes(path))
        self.names[path] = self._safe[path] = inode  # it is on the real disk: safe
        return inode

    def _new(self, content: bytes = b"") -> Inode:
        self._numbers += 1
        return Inode(self._numbers, content)

    def nameless(self) -> Inode:
        """A new empty file without a name (O_TMPFILE)."""
        return self._new()

    def create(self, path: str) -> Inode:
        """A new empty file. OSError (ENOENT) if its folder is not there."""
        if not self.is_folder(os.path.dirname(path)):
            raise error(errno.ENOENT)
        inode = self._new()
        self._change((path, inode, True))
        return inode

    def make_folder(self, path: str) -> None:
        if self.exists(path):
            raise error(errno.EEXIST)
        if not self.is_folder(os.path.dirname(path)):
            raise error(errno.ENOENT)
        self._change((path, None, True))

    def remove(self, path: str) -> None:
        if not self.exists(path):
            raise error(errno.ENOENT)
        if self.is_folder(path):
            raise error(errno.EISDIR)
        self._change((path, None, False))

    def remove_folder(self, path: str) -> None:
        if not self.is_folder(path):
            raise error(errno.ENOTDIR if self.exists(path) else errno.ENOENT)
        if self.names_in(path):
            raise error(errno.ENOTEMPTY)
        self._change((path, None, False))

    def link(self, old: str, new: str) -> None:
        """Give a file one more name. OSError as link(2)."""
        if self.exists(new):
            raise error(errno.EEXIST)
        if not self.is_folder(os.path.dirname(new)):
            raise error(errno.ENOENT)
        self._change((new, self.inode(old), True))

    def touch(self, path: str) -> None:
        """OSError (ENOENT) unless there is a file or a folder."""
        if not self.exists(path):
            raise error(errno.ENOENT)

    def _tree(self, path: str) -> list[str]:
        """All paths in a folder, each after the folder that it is in."""
        found = []
        for name in self.names_in(path):
            below = os.path.join(path, name)
            found += [below, *(self._tree(below) if self.is_folder(below) else ())]
        return found

    def _rename_folder(self, old: str, new: str) -> None:
        if self.exists(new) and not self.is_folder(new):
            raise error(errno.ENOTDIR)
        if new.startswith(old + os.sep):
            raise error(errno.EINVAL)
        if not self.is_folder(os.path.dirname(new)):
            raise error(errno.ENOENT)
        if self.exists(new) and self.names_in(new):
            raise error(errno.ENOTEMPTY)
        leadings: list[Leading] = []
        for path in [old, *self._tree(old)]:
            inode = None if self.is_folder(path) else self.inode(path)
            leadings += [(new + path[len(old) :], inode, True), (path, None, False)]
        self._change(*leadings)

    def rename(self, old: str, new: str) -> None:
        """Rename a file or a folder; a file that is there under the new name is replaced, in one step."""
        if self.is_folder(old):
            if new != old:
                self._rename_folder(old, new)
            return
        inode = self.inode(old)
        if self.is_folder(new):
            raise error(errno.EISDIR)
        if not self.is_folder(os.path.dirname(new)):
            raise error(errno.ENOENT)
        if new != old:
            self._change((new, inode, True), (old, None, False))

    def names_in(self, path: str) -> list[str]:
        """The names in a folder, sorted. OSError if it is none."""
        if not self.is_folder(path):
            raise error(errno.ENOTDIR if self.exists(path) else errno.ENOENT)
        real = _real_list(path) if path not in self.names else []
        found = {name for name in real if os.path.join(path, name) not in self.gone}
        found |= {os.path.basename(name) for name in self.names if os.path.dirname(name) == path}
        return sorted(found)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder safe."""
        kept = []
        for change in self._changes:
            if any(os.path.dirname(name) == path for name, _, _ in change):
                self._make_safe(change)
            else:
                kept.append(change)
        self._changes = kept

    def _make_safe(self, change: list[Leading]) -> None:
        for path, inode, there in change:
            if there:
                self._safe[path] = inode
                self._safely_gone.discard(path)
            else:
                self._safe.pop(path, None)
                self._safely_gone.add(path)

    def status(self, path: str) -> os.stat_result:
        """What stat(2) tells. OSError (ENOENT) if there is nothing."""
        if path not in self.names:
            raise error(errno.ENOENT)
        return status_of(self.names[path])

    # --- The end of power -------------------------------------------------------------------------

    def lose_power(self) -> None:
        """What was not synced is kept, lost or torn, as it is drawn."""
        self._losses += 1
        world, name = self._host.world, self._host.name
        for path, inode in sorted(self._files().items()):
            if inode.changes:
                stream = f"{name}/{os.path.basename(path)}/unsynced"
                lost = inode.lose(world.draw(stream, self._losses))
                if lost and world.log is not None:
                    world.explain_choice((stream, self._losses), f"{name} loses of {path}, not synced", lost)
        if self._changes:
            stream = f"{name}/names/unsynced"
            severity = world.draw(stream, self._losses)
            kept = int((1.0 - severity) * len(self._changes)) if severity else len(self._changes)
            if kept < len(self._changes) and world.log is not None:
                paths = ", ".join(change[0][0] for change in self._changes[kept:])
                world.explain_choice((stream, self._losses), f"{name} loses names, not synced", paths)
            for change in self._changes[:kept]:
                self._make_safe(change)
            self._changes.clear()
        self.names = dict(self._safe)
        self.gone = set(self._safely_gone)

    def _files(self) -> dict[str, Inode]:
        """Every file by one of its names, the last first."""
        found = {path: inode for path, inode in self._safe.items() if inode is not None}
        for change in self._changes:
            found.update({path: inode for path, inode, _ in change if inode is not None})
        found.update({path: inode for path, inode in self.names.items() if inode is not None})
        by_inode = {id(inode): (path, inode) for path, inode in sorted(found.items())}
        return dict(by_inode.values())


def status_of(inode: Inode | None) -> os.stat_result:
    mode = stat.S_IFDIR | 0o755 if inode is None else stat.S_IFREG | 0o644
    size = 0 if inode is None else len(inode.data)
    number = 1 if inode is None else inode.number
    return os.stat_result((mode, number, 1, 1, os.getuid(), os.getgid(), size, 0, 0, 0))


class DiskFile(File):
    """An open file of the disk."""

    def __init__(self, kernel: Any, inode: Inode, flags: int) -> None:
        super().__init__(kernel)
        self.inode = inode
        self.flags = flags
        self.position = 0
        if flags & os.O_TRUNC and inode.data:
            inode.cut(0)

    def read(self, size: int) -> bytes:
        data = self.read_at(size, self.position)
        self.position += len(data)
        return data

    def read_at(self, size: int, offset: int) -> bytes:
        if self.flags & os.O_ACCMODE == os.O_WRONLY:
            raise error(errno.EBADF)
        return bytes(self.inode.data[offset : offset + size])

    def write(self, data: Any) -> int:
        if self.flags & os.O_APPEND:
            self.position = len(self.inode.data)
        count = self.write_at(data, self.position)
        self.position += count
        return count

    def write_at(self, data: Any, offset: int) -> int:
        self.kernel.touch_disk()
        if self.flags & os.O_ACCMODE == os.O_RDONLY:
            raise error(errno.EBADF)
        if len(data):
            self.inode.write(offset, bytes(data))
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: len(self.inode.data)}[whence]
        if base + offset < 0:
            raise error(errno.EINVAL)
        self.position = base + offset
        return self.position

    def cut(self, length: int) -> None:
        self.inode.cut(length)

    def sync(self) -> None:
        self.kernel.touch_disk()
        self.inode.sync()

    def poll(self) -> int:
        return IN | OUT


class DiskFolder(File):
    """An open folder, for fsync."""

    def __init__(self, kernel: Any, disk: Disk, path: str) -> None:
        super().__init__(kernel)
        self.path = path
        self._disk = disk
        self.inode = None

    def sync(self) -> None:
        self.kernel.touch_disk()
        self._disk.sync_folder(self.path)

    def poll(self) -> int:
        return IN | OUT


# The real file system, as it is asked where the program has not written: by functions that no world captures.
_stat, _listdir = inplace.original(os.stat), inplace.original(os.listdir)


def _real_status(path: str) -> os.stat_result | None:
    try:
        found: os.stat_result = _stat(path)
        return found
    except OSError:
        return None


def _real_bytes(path: str) -> bytes:
    with _real_open(path, "rb") as file:
        content: bytes = file.read()
    return content


def _real_list(path: str) -> list[str]:
    found: list[str] = _listdir(path)
    return found


_real_open = open
