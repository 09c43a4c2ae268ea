"""What a future stands for, in a number: so that who looks at a task can say on what it waits.

Whoever makes a future for such a wait notes that in it (`futures.note_wait`), which is a store; the recorder writes it
down when a task begins to wait. The words are in `cede.observe.schema`.
"""

LOCK, SEMAPHORE, EVENT, CONDITION, BARRIER = 1, 2, 3, 4, 5
QUEUE_GET, QUEUE_PUT = 6, 7
SLEEP, CONNECT, RESOLVE, EXECUTOR, PROCESS = 8, 9, 10, 11, 12
READ, DRAIN, SOCKET, TASKS = 13, 14, 15, 16

BITS = 27  # of a note are the number of the resource, the 5 above them are one of these
FOREIGN = 1 << 26  # in the number of a resource: it is a part of its address, for it has no number of its own
_last = 0


def next_resource():
    """Return a new number for a lock, a queue or another thing that tasks wait for."""
    global _last
    _last = _last + 1 if _last < FOREIGN - 1 else 1
    return _last


def foreign(resource):
    """Return the number of a thing that has none of its own."""
    return FOREIGN | id(resource) >> 4 & FOREIGN - 1
