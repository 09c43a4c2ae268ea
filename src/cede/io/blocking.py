"""Descriptors that pipe transports made non-blocking become blocking again when nobody needs them so.

The mode belongs to the open file, and others may share that: a shell its terminal, another process the far side of a
`dup`. While a transport is open they have to bear it; what it leaves behind is as it was.

Law: a file is given back by the last transport of this process that uses it. Open files cannot be told apart, so those
of the same inode, opened for the same, count as one. A forked child gives nothing back that its parent took.
"""

import fcntl
import os
import threading

from ..engine import own_calls

_users = {}  # {(device, inode, access): [transports, process]} of the files that were blocking
_lock = threading.RLock()  # a finalizer may come while it is held


def take(fd, info):
    """Make `fd`, of which `fstat` says `info`, non-blocking; return what `give_back` wants."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    key = (info.st_dev, info.st_ino, flags & os.O_ACCMODE)
    with _lock:
        users = _users.get(key)
        if users is None:
            if flags & os.O_NONBLOCK:
                return None
            users = _users[key] = [0, os.getpid()]
        users[0] += 1
    if not flags & os.O_NONBLOCK:
        own_calls.set_blocking(fd, False)
    return key


def give_back(fd, key):
    """Make `fd`, which is about to be closed, blocking again, if `take` says that it was and nobody else needs it."""
    if key is None:
        return
    with _lock:
        users = _users[key]
        users[0] -= 1
        if users[0]:
            return
        del _users[key]
    if users[1] != os.getpid():
        return
    try:
        info = own_calls.fstat(fd)
        if (info.st_dev, info.st_ino) == key[:2]:  # else it was closed behind our back, and the number is another's
            own_calls.set_blocking(fd, True)
    except OSError:
        pass  # closed behind our back
