# The twin of native.py: the same names and arguments; their bodies are C, in the headers named below. Each compiled
# module that imports this has them, and what they keep, for itself.
from cpython.object cimport PyObject

cdef enum:
    COMPILED = 1

cdef extern from "cede/engine/threads.h":
    object cede_thread_frames()

cdef extern from "cede/engine/numbers.h":
    ctypedef bint flag "cede_flag"  # a truth value in a field: `bint` takes four bytes

cdef extern from "cede/engine/tracebacks.h":
    object cede_traceback_of(object exc)
    object cede_with_traceback(object exc, object tb)

cdef extern from "cede/engine/calling.h":
    object cede_resume(object context, object coro)
    object cede_throw(object context, object coro, object name, object exc)
    object cede_cancel(object future, object name, object args, object kwargs)
    object cede_result_of(object future, object name)
    object cede_call(object context, object callback, object args)
    object cede_attempt(object context, object callback, object args)
    object cede_call_one(object context, object callback, object arg)
    object cede_call_method(object context, object target, object name, object arg)

cdef extern from "cede/engine/contexts.h":
    object cede_snapshot()
    object cede_private_copy(object snapshot)
    void cede_forget_contexts()
    int cede_share_contexts() except -1

cdef extern from "cede/engine/numbers.h":
    double cede_seconds(object number) except? -1.0
    Py_ssize_t cede_size(object number) except? -1
    long long cede_next_number()

cdef extern from "cede/engine/pieces.h":
    Py_ssize_t cede_find(object data, object part, Py_ssize_t start)
    object cede_cut(object data, Py_ssize_t start, Py_ssize_t end)
    object cede_take(list entries, Py_ssize_t index)
    void cede_clear(list entries)

cdef extern from "cede/engine/classes.h":
    bint cede_is_built_in(object kind)
    void cede_drop_empty_dict(object o)
    int cede_has_own(object o, object name) except -1
    int cede_publish(object kind, object name, object method) except -1
    unsigned int cede_class_version(object kind) noexcept
    int cede_trust_versions() except -1
    int cede_set_text(object kind, bytes text) except -1

cdef extern from "cede/engine/memory.h":
    int cede_is_unshared(object obj)
    void cede_track(object o)
    object cede_fresh(object kind)
    int cede_keep_memory(object kind, int hidden) except -1

cdef extern from "cede/engine/tools.h":
    ctypedef struct place "cede_place":
        pass
    object cede_nobody()
    object cede_unnamed()
    bint cede_list_tasks(Py_ssize_t head, Py_ssize_t place) noexcept
    void cede_enlist(object task) noexcept
    void cede_delist(object task) noexcept

cdef extern from "cede/engine/endings.h":
    void cede_end_one_by_one(object kind)

cdef extern from "Python.h":
    bint PyExceptionInstance_Check(object obj)
    Py_ssize_t Py_REFCNT(object o)
    int PyObject_IS_GC(object o)
    void PyObject_GC_UnTrack(object o)
    unsigned long PyThread_get_thread_ident()
    object PyContext_CopyCurrent()


cdef inline object resume(object context, object coro):
    return cede_resume(context, coro)

cdef inline object throw(object context, object coro, object exc):
    return cede_throw(context, coro, "throw", exc)

cdef inline object result_of(object future):
    return cede_result_of(future, "result")

cdef inline bint is_exception(object obj) noexcept:
    return PyExceptionInstance_Check(obj)

cdef inline object traceback_of(object exc):
    return cede_traceback_of(exc)

cdef inline object with_traceback(object exc, object traceback):
    return cede_with_traceback(exc, traceback)

cdef inline object cancel(object future, object msg):
    return cede_cancel(future, "cancel", (), {"msg": msg})

cdef inline object nobody():
    return cede_nobody()

cdef inline object unnamed():
    return cede_unnamed()

cdef inline bint list_tasks(Py_ssize_t head, Py_ssize_t place) noexcept:
    return cede_list_tasks(head, place)

cdef inline int enlist(object task) noexcept:
    cede_enlist(task)
    return 0

cdef inline int delist(object task) noexcept:
    cede_delist(task)
    return 0

cdef inline object call(object context, object callback, object args):
    return cede_call(context, callback, args)

cdef inline object attempt(object context, object callback, object args):
    return cede_attempt(context, callback, args)

cdef inline object call_one(object context, object callback, object arg):
    return cede_call_one(context, callback, arg)

cdef inline object copy_context():
    return PyContext_CopyCurrent()

cdef inline object snapshot():
    return cede_snapshot()

cdef inline object private_copy(object snapshot):
    return cede_private_copy(snapshot)

cdef inline int share_contexts() except -1:
    return cede_share_contexts()

cdef inline int forget_contexts() except -1:
    cede_forget_contexts()
    return 0

cdef inline Py_ssize_t size(object number) except? -1:
    return cede_size(number)

cdef inline double seconds(object number) except? -1.0:
    return cede_seconds(number)

cdef inline long long next_number() noexcept:
    return cede_next_number()

cdef inline bint is_unshared(object obj) noexcept:
    return cede_is_unshared(obj)

cdef inline object call_method(object context, object target, object name, object arg):
    return cede_call_method(context, target, name, arg)

cdef inline Py_ssize_t find(object data, bytes part, Py_ssize_t start) noexcept:
    return cede_find(data, part, start)

cdef inline object cut(object data, Py_ssize_t start, Py_ssize_t end):
    return cede_cut(data, start, end)

cdef inline int untrack(object obj) except -1:
    if PyObject_IS_GC(obj):
        PyObject_GC_UnTrack(obj)
    return 0

cdef inline int track(object obj) except -1:
    cede_track(obj)
    return 0

cdef inline bint is_shared(object obj) noexcept:
    return Py_REFCNT(obj) > 1

cdef inline int keep_memory(object kind, bint hidden=False) except -1:
    cede_keep_memory(kind, hidden)
    return 0

cdef inline object fresh(object kind):
    return cede_fresh(kind)

cdef inline int end_one_by_one(object kind) except -1:
    cede_end_one_by_one(kind)
    return 0

cdef inline int drop_empty_dict(object obj) except -1:
    cede_drop_empty_dict(obj)
    return 0

cdef inline bint has_own(object obj, str name) except -1:
    return cede_has_own(obj, name)

cdef inline int sign(dict names) except -1:
    """`inspect` takes the signature of a built-in class from its text, and Cython writes that of `__init__`."""
    for kind in names.values():
        if cede_is_built_in(kind) and kind.__module__ == names["__name__"]:
            if "__init__" in kind.__dict__:
                signature = kind.__init__.__text_signature__.replace("$self, ", "", 1).replace("$self", "", 1)
            elif kind.__init__ is object.__init__:
                signature = "()"
            else:
                continue  # that of the class above it
            cede_set_text(kind, f"{kind.__name__}{signature}\n--\n\n{kind.__doc__ or ''}".encode())
        elif isinstance(kind, type) and kind.__module__ == names["__name__"]:
            for method in kind.__dict__.values():  # a class of Python's, in whose docstrings it leaves the signature
                text = getattr(method, "__doc__", None)
                if isinstance(text, str) and "\n--\n\n" in text:
                    method.__doc__ = text.partition("\n--\n\n")[2] or None
    return 0

cdef inline int declare(object kind, dict fields) except -1:
    return 0

cdef inline int publish(object kind, str name, object method) except -1:
    return cede_publish(kind, name, method)

cdef inline unsigned int class_version(object kind) noexcept:
    return cede_class_version(kind)

cdef inline int trust_versions() except -1:
    return cede_trust_versions()

cdef inline object take(list entries, Py_ssize_t index):
    return cede_take(entries, index)

cdef inline int clear(list entries) except -1:
    cede_clear(entries)
    return 0

cdef inline dict thread_frames():
    return cede_thread_frames()

cdef inline unsigned long get_ident() noexcept:
    return PyThread_get_thread_ident()
