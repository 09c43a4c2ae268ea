"""Writing into memory that other processes read; a twin, as `native` is.

`view` is a memoryview of the memory, `address` where it begins in C, `at` a place in it in bytes. Interpreted, the view
is written to; compiled, C writes to the address.
"""

import sys
from struct import pack_into
from types import FunctionType, MethodType

TEXT = 16


def address(memory):
    """Return where the bytes of a writable buffer are, which the caller keeps alive. Interpreted: 0, nobody asks."""
    return 0


def put_record(view, address, at, end, who, ran, woken_by, queued, on, kind, how, turn):
    """Write one record."""
    pack_into("<QIIIIIBBH", view, at, end, who, ran, woken_by, queued, on, kind, how, turn)


def put_number(view, address, at, number):
    """Write a number of 64 bits after all that was written before, at a place that 8 divides."""
    # In one store: `pack_into` clears the place first and writes byte by byte, and a reader may come in between.
    view.cast("Q")[at >> 3] = number


def put_text(view, address, at, text, part):
    """Write the bytes from `part` * 16 on, at most 16, of a text's UTF-8 into the middle of a record."""
    pack_into("16s", view, at + 12, text.encode(errors="replace")[part * TEXT : (part + 1) * TEXT])


def code_of(callback):
    """Return the code of a function or of a method that is one; None for all else."""
    callback = callback.__func__ if type(callback) is MethodType else callback
    return callback.__code__ if type(callback) is FunctionType else None


def code_of_coroutine(coro):
    """Return the code of a coroutine of the interpreter's own."""
    return coro.cr_code


def calling_code():
    """Return the address of the code that called who called who calls; compiled, functions of C are none."""
    return id(sys._getframe(3).f_code)


def calling_code_object(depth):
    """Return the code that called, so many calls above; compiled, that of the frame on top, None if there is none."""
    return sys._getframe(depth).f_code


def calling_self():
    """Return the `self` of the same, None if it has none."""
    return sys._getframe(3).f_locals.get("self")


def slot(obj):
    """Return a number from 0 to 255 that an object has all its life."""
    return id(obj) >> 4 & 255


def function(callback):
    """Return what stands for a callback that is a function of C in a table of names; 0 for all others."""
    return callback.__qualname__ if type(callback) is type(print) else 0
