"""Exchange a function of C in place: the same object calls something else.

The object behind a name like `time.monotonic` holds two pointers: to a description of the C function (PyMethodDef), and
to what that gets as its first argument. Both are exchanged at once: for a description of the interpreter's own
`PyObject_CallNoArgs` (or its sister for the kind of call), and for the Python function that it is to call. So
arguments, results and exceptions travel by the interpreter's own road, and no code of ours runs in C.

All of it rests on where CPython keeps these pointers. `works()` tries it once: it looks whether what is found there is
what must be, exchanges a function, and puts it back. Free-threaded builds are left alone: their threads would see half
of an exchange.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
import types
from collections.abc import Callable
from functools import cache
from typing import Any

_METH_VARARGS, _METH_KEYWORDS, _METH_NOARGS, _METH_O, _METH_FASTCALL = 1, 2, 4, 8, 0x80
_KIND = 0xFF  # of a description's flags, what says how it is called
_CALLS = {  # kind of call of a function of C: what of the interpreter calls any object in that way
    _METH_NOARGS: "PyObject_CallNoArgs",
    _METH_O: "PyObject_CallOneArg",
    _METH_VARARGS: "PyObject_CallObject",
    _METH_VARARGS | _METH_KEYWORDS: "PyObject_Call",
    _METH_FASTCALL | _METH_KEYWORDS: "PyObject_Vectorcall",
}
_HEAD = object.__basicsize__  # bytes of an object before what is its own


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("meth", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Insides(ctypes.Structure):
    """What follows the head of a builtin function."""

    _fields_ = (("definition", ctypes.POINTER(_MethodDef)), ("receiver", ctypes.c_void_p))


def _insides(function: Any) -> _Insides:
    return _Insides.from_address(id(function) + _HEAD)


class Exchange:
    """A builtin function and what it is to call instead. It lives as long as the process: a thread may be in it."""

    def __init__(self, function: Any, replacement: Callable[[Any], Callable[..., Any]]) -> None:
        """`replacement(original)` makes what is called instead; `original` does what the function did, always."""
        insides = _insides(function)
        definition = insides.definition.contents
        self._original = _copy(function)
        self._replacement = replacement(self._original)
        call = ctypes.cast(getattr(ctypes.pythonapi, _CALLS[definition.flags & _KIND]), ctypes.c_void_p).value
        self._definition = _MethodDef(definition.name, call, definition.flags, definition.doc)
        self._address = id(function) + _HEAD
        self.function = function
        self._before = bytes(insides)
        self._after = bytes(_Insides(ctypes.pointer(self._definition), id(self._replacement)))

    def put(self) -> None:
        """Exchange it."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._replacement))  # the function refers to it now
        ctypes.memmove(self._address, self._after, len(self._after))

    def put_back(self) -> None:
        """Let it do again what it did."""
        ctypes.memmove(self._address, self._before, len(self._before))
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(self._replacement))


def _copy(function: Any) -> Any:
    make = ctypes.pythonapi.PyCMethod_New
    make.restype = ctypes.py_object
    make.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
    definition = ctypes.cast(_insides(function).definition, ctypes.c_void_p)
    return make(definition, function.__self__, function.__module__, None)


def original(function: Any) -> Any:
    """Return what does the same, and goes on doing so while the function is exchanged."""
    return _copy(function) if can_exchange(function) else function


def can_exchange(function: Any) -> bool:
    """Whether this function can be exchanged in place, by this build of the interpreter."""
    return works() and _is_understood(function)


def _is_understood(function: Any) -> bool:
    if type(function) is not types.BuiltinFunctionType:
        return False
    insides = _insides(function)
    if insides.receiver != id(function.__self__):
        return False
    definition = insides.definition.contents
    return definition.name == function.__name__.encode() and definition.flags & _KIND in _CALLS


def exchange_in_type(owner: type, name: str, replacement: Any) -> Callable[[], None]:
    """Put another attribute into a type of C; return what puts the first one back. `works()` must have said yes."""
    (namespace,) = gc.get_referents(vars(owner))
    before = namespace[name]
    modified = ctypes.pythonapi.PyType_Modified
    modified.argtypes = (ctypes.py_object,)
    modified.restype = None

    def put(value: Any) -> None:
        namespace[name] = value
        modified(owner)

    put(replacement)
    return lambda: put(before)


@cache
def works() -> bool:
    """Whether this build of the interpreter is as it must be. Tried once, on a function that nobody misses."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    probe = time.process_time_ns
    if not _is_understood(probe) or not isinstance(gc.get_referents(vars(type(time)))[0], dict):
        return False
    before = probe()
    trial = Exchange(probe, lambda original: lambda: (original(), "ours"))
    trial.put()
    try:
        through: Any = probe()
    finally:
        trial.put_back()
    return isinstance(through, tuple) and before <= through[0] <= probe()
