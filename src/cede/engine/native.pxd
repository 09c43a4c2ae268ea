# The twin of native.py: the same names and arguments, inlined C bodies.
from cpython.object cimport PyObject

cdef enum:
    COMPILED = 1

cdef extern from *:
    """
    /* Cython adds a frame to the traceback for each function that an exception leaves. Ours would stand between the
       user's, and above them, where asyncio's own C leaves none; so only where an exception began it is said. */
    static CYTHON_INLINE int cede_trace(PyFrameObject *frame) {
        PyObject *type, *value, *tb;
        PyErr_Fetch(&type, &value, &tb);
        PyErr_Restore(type, value, tb);
        return tb == NULL ? PyTraceBack_Here(frame) : 0;
    }
    #if !CYTHON_TRACE
    #define PyTraceBack_Here cede_trace
    #endif

    /* The exception that is set, which it takes. Whoever says that there is one and sets none gets a SystemError. */
    static PyObject *cede_raised(void) {
        PyObject *type, *exc, *tb;
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error without an exception set");
        PyErr_Fetch(&type, &exc, &tb);
        PyErr_NormalizeException(&type, &exc, &tb);
        if (tb) PyException_SetTraceback(exc, tb);
        Py_XDECREF(type);
        Py_XDECREF(tb);
        return exc;
    }

    /* The answer of a step; see native.py. A new reference, or NULL with an error set (no memory). */
    static CYTHON_INLINE PyObject *cede_answer(PySendResult outcome, PyObject *value) {
        PyObject *pair, *kind;
        if (outcome == PYGEN_NEXT) return value;
        if (outcome == PYGEN_RETURN) {
            kind = PyExc_StopIteration;
        } else {
            kind = PyExc_BaseException;
            value = cede_raised();
        }
        pair = PyTuple_Pack(2, kind, value);
        Py_DECREF(value);
        return pair;
    }

    static CYTHON_INLINE PyObject *cede_resume(PyObject *context, PyObject *coro) {
        PyObject *value = NULL;
        PySendResult outcome;
        if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
        outcome = PyIter_Send(coro, Py_None, &value);
        if (PyContext_Exit(context) < 0) {
            outcome = PYGEN_ERROR;
            Py_CLEAR(value);
        }
        return cede_answer(outcome, value);
    }

    /* The value of the StopIteration that is set, which it takes; NULL if another error came of looking at it. */
    static PyObject *cede_stop_value(void) {
        PyObject *stop = cede_raised(), *value;
        if (PyObject_TypeCheck(stop, (PyTypeObject *)PyExc_StopIteration)) {
            value = ((PyStopIterationObject *)stop)->value;
            value = Py_NewRef(value ? value : Py_None); /* none, if it was never initialized */
            Py_DECREF(stop);
            return value;
        }
        PyErr_SetObject((PyObject *)Py_TYPE(stop), stop);
        Py_DECREF(stop);
        return NULL;
    }

    static PyObject *cede_throw(PyObject *context, PyObject *coro, PyObject *name, PyObject *exc) {
        PyObject *value;
        PySendResult outcome;
        if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
        value = PyObject_CallMethodOneArg(coro, name, exc);
        outcome = value ? PYGEN_NEXT : PYGEN_ERROR;
        if (PyContext_Exit(context) < 0) {
            outcome = PYGEN_ERROR;
            Py_CLEAR(value);
        } else if (outcome == PYGEN_ERROR && PyErr_ExceptionMatches(PyExc_StopIteration)) {
            value = cede_stop_value();
            if (value) outcome = PYGEN_RETURN;
        }
        return cede_answer(outcome, value);
    }

    /* Through the slots of the interpreter, whatever methods the class of an exception has of its own. */
    static PyObject *cede_not_raisable(PyObject *o) {
        PyErr_Format(PyExc_TypeError, "exceptions must derive from BaseException, not '%.200s'", Py_TYPE(o)->tp_name);
        return NULL;
    }
    static PyObject *cede_traceback_of(PyObject *exc) {
        PyObject *tb;
        if (!PyExceptionInstance_Check(exc)) return cede_not_raisable(exc);
        tb = PyException_GetTraceback(exc);
        return tb ? tb : Py_NewRef(Py_None);
    }
    static PyObject *cede_with_traceback(PyObject *exc, PyObject *tb) {
        if (!PyExceptionInstance_Check(exc)) return cede_not_raisable(exc);
        return PyException_SetTraceback(exc, tb) < 0 ? NULL : Py_NewRef(exc);
    }

    static PyObject *cede_cancel(PyObject *future, PyObject *name, PyObject *args, PyObject *kwargs) {
        PyObject *method, *result = NULL;
        if (Py_EnterRecursiveCall(" while cancelling what a task waits for")) return NULL;
        method = PyObject_GetAttr(future, name);
        if (method) result = PyObject_Call(method, args, kwargs);
        Py_XDECREF(method);
        Py_LeaveRecursiveCall();
        return result;
    }

    static PyObject *cede_result_of(PyObject *future, PyObject *name) {
        PyObject *value = PyObject_CallMethodNoArgs(future, name);
        return cede_answer(value ? PYGEN_RETURN : PYGEN_ERROR, value);
    }

    static CYTHON_INLINE PyObject *cede_call(PyObject *context, PyObject *callback, PyObject *args) {
        PyObject *result;
        if (!PyTuple_Check(args)) return PyErr_SetString(PyExc_TypeError, "the arguments are no tuple"), NULL;
        if (PyContext_Enter(context) < 0) return NULL;
        result = PyObject_Vectorcall(callback, ((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args), NULL);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    /* None, or what was raised. */
    static CYTHON_INLINE PyObject *cede_attempt(PyObject *context, PyObject *callback, PyObject *args) {
        PyObject *result = cede_call(context, callback, args);
        if (result == NULL) return cede_raised();
        Py_DECREF(result);
        return Py_NewRef(Py_None);
    }

    static CYTHON_INLINE PyObject *cede_call_one(PyObject *context, PyObject *callback, PyObject *arg) {
        PyObject *result;
        if (PyContext_Enter(context) < 0) return NULL;
        result = PyObject_CallOneArg(callback, arg);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    /* Copies of the current context that share its variables. What a context says is one immutable map, which setting a
       variable replaces: two contexts with the same map say the same. Where CPython keeps the map is known of the
       versions below; elsewhere each copy is made. The caller holds the global lock. */
    #if !defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x03100000
    #define CEDE_SHARES_CONTEXTS 1
    typedef struct { PyObject_HEAD PyObject *previous, *variables; } cede_context;
    #define cede_variables(context) (((cede_context *)(context))->variables)
    #else
    #define CEDE_SHARES_CONTEXTS 0
    #endif
    static PyObject *cede_last_snapshot = NULL, *cede_last_copy = NULL;

    static CYTHON_INLINE PyObject *cede_snapshot(void) {
    #if CEDE_SHARES_CONTEXTS
        PyObject *old = cede_last_snapshot, *current = PyThreadState_Get()->context;
        if (old && current && cede_variables(old) == cede_variables(current)) return Py_NewRef(old);
        current = PyContext_CopyCurrent();
        old = cede_last_snapshot;
        cede_last_snapshot = Py_XNewRef(current);
        Py_XDECREF(old);
        return current;
    #else
        return PyContext_CopyCurrent();
    #endif
    }

    static CYTHON_INLINE PyObject *cede_private_copy(PyObject *snapshot) {
    #if CEDE_SHARES_CONTEXTS
        PyObject *old = cede_last_copy, *copy;
        if (old && Py_REFCNT(old) == 1 && cede_variables(old) == cede_variables(snapshot)) return Py_NewRef(old);
        copy = PyContext_Copy(snapshot);
        old = cede_last_copy;
        cede_last_copy = Py_XNewRef(copy);
        Py_XDECREF(old);
        return copy;
    #else
        return Py_NewRef(snapshot);
    #endif
    }

    static CYTHON_INLINE void cede_forget_context(PyObject **place) {
        if (*place && PyObject_Size(*place)) Py_CLEAR(*place);
    }
    #define cede_forget_contexts() (cede_forget_context(&cede_last_snapshot), cede_forget_context(&cede_last_copy))

    /* What cannot be added to a float is refused, as it is interpreted. -1.0 with an error set. */
    static CYTHON_INLINE double cede_seconds(PyObject *number) {
        double seconds = -1.0;
        PyObject *zero, *sum;
        if (PyFloat_CheckExact(number)) return PyFloat_AS_DOUBLE(number);
        if (PyLong_CheckExact(number)) return PyLong_AsDouble(number);
        zero = PyFloat_FromDouble(0.0);
        sum = zero ? PyNumber_Add(zero, number) : NULL;
        Py_XDECREF(zero);
        if (sum) {
            seconds = PyFloat_AsDouble(sum);
            Py_DECREF(sum);
        }
        return seconds;
    }

    static CYTHON_INLINE Py_ssize_t cede_size(PyObject *number) {
        return PyNumber_AsSsize_t(number, NULL);
    }

    static CYTHON_INLINE PyObject *cede_call_method(
            PyObject *context, PyObject *target, PyObject *name, PyObject *arg) {
        PyObject *result, *args[2];
        if (PyContext_Enter(context) < 0) return NULL;
        args[0] = target;
        args[1] = arg;
        result = PyObject_VectorcallMethod(name, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    #if PY_VERSION_HEX >= 0x030E0000
    #define cede_is_unshared(obj) PyUnstable_Object_IsUniquelyReferenced(obj)
    #else
    #define cede_is_unshared(obj) (Py_REFCNT(obj) == 1)
    #endif

    /* Of what is neither bytes nor a bytearray, the None of an object that nobody initialized: nothing. */
    static CYTHON_INLINE const char *cede_memory(PyObject *data, Py_ssize_t *size) {
        if (PyBytes_Check(data)) {
            *size = PyBytes_GET_SIZE(data);
            return PyBytes_AS_STRING(data);
        }
        if (PyByteArray_Check(data)) {
            *size = PyByteArray_GET_SIZE(data);
            return PyByteArray_AS_STRING(data);
        }
        *size = 0;
        return "";
    }

    static CYTHON_INLINE Py_ssize_t cede_find(PyObject *data, PyObject *part, Py_ssize_t start) {
        Py_ssize_t size, part_size;
        const char *memory = cede_memory(data, &size), *part_memory = cede_memory(part, &part_size), *found;
        if (start < 0 || part_size == 0 || size - start < part_size) return -1;
        if (part_size == 1) found = (const char *)memchr(memory + start, part_memory[0], size - start);
        else found = (const char *)memmem(memory + start, size - start, part_memory, part_size);
        return found == NULL ? -1 : found - memory;
    }

    static CYTHON_INLINE PyObject *cede_cut(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
        Py_ssize_t size;
        const char *memory = cede_memory(data, &size);
        if (end > size) end = size;
        if (start < 0) start = 0;
        return PyBytes_FromStringAndSize(memory + start, end > start ? end - start : 0);
    }

    /* An empty tuple is one for all, and never tracked. */
    static CYTHON_INLINE void cede_track(PyObject *o) {
        if (!PyObject_IS_GC(o) || PyObject_GC_IsTracked(o)) return;
        if (PyTuple_CheckExact(o) && PyTuple_GET_SIZE(o) == 0) return;
        PyObject_GC_Track(o);
    }

    static CYTHON_INLINE void cede_drop_empty_dict(PyObject *o) {
        PyObject **dict = (PyObject **)((char *)o + Py_TYPE(o)->tp_dictoffset);
        if (Py_TYPE(o)->tp_dictoffset > 0 && *dict && PyDict_GET_SIZE(*dict) == 0) Py_CLEAR(*dict);
    }

    static CYTHON_INLINE int cede_has_own(PyObject *o, PyObject *name) {
        PyObject *dict = Py_TYPE(o)->tp_dictoffset > 0 ? *(PyObject **)((char *)o + Py_TYPE(o)->tp_dictoffset) : NULL;
        return dict ? PyDict_Contains(dict, name) : 0;
    }

    /* The memory of up to CEDE_KEPT dead objects of a class, where freeing puts it and making takes it from. The
       first two words before a tracked object are the collector's; zero means: untracked, not finalized. */
    #define CEDE_KEPT 1024
    #define CEDE_KINDS 8
    typedef struct { PyTypeObject *type; PyObject *template; int hidden; int count; void *kept[CEDE_KEPT]; } cede_pool;
    static cede_pool cede_pools[CEDE_KINDS];

    static CYTHON_INLINE cede_pool *cede_pool_of(PyTypeObject *type) {
        int i;
        for (i = 0; i < CEDE_KINDS && cede_pools[i].type; i++) if (cede_pools[i].type == type) return &cede_pools[i];
        return NULL;
    }
    static PyObject *cede_alloc(PyTypeObject *type, Py_ssize_t items) {
        cede_pool *pool = cede_pool_of(type);
        PyObject *o;
        if (!pool) return PyType_GenericAlloc(type, items);
        if (pool->count == 0) {
            o = PyType_GenericAlloc(type, items);
            if (o && pool->hidden) PyObject_GC_UnTrack(o);
            return o;
        }
        o = (PyObject *)pool->kept[--pool->count];
        memset((uintptr_t *)o - 2, 0, type->tp_basicsize + 2 * sizeof(uintptr_t));
        PyObject_Init(o, type);
        if (!pool->hidden) PyObject_GC_Track(o);
        return o;
    }

    /* Make an object as `tp_new` does, by copying one that was never given anything, and is kept for that. (Before 3.12
       None counts who refers to it, and a copy would not be counted.) */
    static PyObject *cede_make(PyTypeObject *type) {
        PyObject *arguments = PyTuple_New(0), *o = arguments ? type->tp_new(type, arguments, NULL) : NULL;
        Py_XDECREF(arguments);
        if (o) cede_drop_empty_dict(o);
        return o;
    }
    static PyObject *cede_fresh(PyObject *kind) {
        PyTypeObject *type = (PyTypeObject *)kind;
        cede_pool *pool = PY_VERSION_HEX < 0x030C0000 ? NULL : cede_pool_of(type);
        PyObject *o;
        if (!pool) return cede_make(type);
        if (!pool->template) {
            if ((pool->template = cede_make(type)) == NULL) return NULL;
            PyObject_GC_UnTrack(pool->template);
        }
        if (pool->count) {
            o = (PyObject *)pool->kept[--pool->count];
            ((uintptr_t *)o)[-1] = ((uintptr_t *)o)[-2] = 0;
            memcpy(o, pool->template, type->tp_basicsize);
            _Py_NewReference(o);
            if (!pool->hidden) PyObject_GC_Track(o);
        } else if ((o = cede_alloc(type, 0)) != NULL) {
            memcpy(o + 1, pool->template + 1, type->tp_basicsize - sizeof(PyObject));
        }
        return o;
    }
    static void cede_free(void *o) {
        cede_pool *pool = cede_pool_of(Py_TYPE((PyObject *)o));
        if (pool && pool->count < CEDE_KEPT) pool->kept[pool->count++] = o;
        else PyObject_GC_Del(o);
    }
    /* A built-in function in a class is no method: it is asked for by an object that makes one of it. */
    static int cede_publish(PyObject *kind, PyObject *name, PyObject *function) {
        PyObject *method = PyInstanceMethod_New(function);
        int failed = method == NULL || PyDict_SetItem(((PyTypeObject *)kind)->tp_dict, name, method) < 0;
        Py_XDECREF(method);
        if (failed) {
            return -1;
        }
        PyType_Modified((PyTypeObject *)kind);
        return 0;
    }

    /* Setting an attribute of a class takes its version away, and looking one up gives it a new one; a class that gets
       none any more is taken for one that changes all the time. */
    static inline unsigned int cede_class_version(PyObject *kind) {
        return ((PyTypeObject *)kind)->tp_version_tag;
    }

    static void cede_keep_memory(PyObject *kind, int hidden) {
    #ifndef Py_GIL_DISABLED
        PyTypeObject *type = (PyTypeObject *)kind;
        int i = 0;
        if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) return;
        while (i < CEDE_KINDS && cede_pools[i].type) i++;
        if (i == CEDE_KINDS) return;
        cede_pools[i].type = type;
        cede_pools[i].hidden = hidden;
        type->tp_alloc = cede_alloc;
        type->tp_free = cede_free;
    #endif
    }

    /* An end of a type's own, inside of the interpreter's trashcan; since 3.14 the interpreter sees to it itself. */
    #define CEDE_END(name) \
        static destructor name##_really; \
        static void name(PyObject *o) { \
            PyObject_GC_UnTrack(o); \
            Py_TRASHCAN_BEGIN(o, name) \
            name##_really(o); \
            Py_TRASHCAN_END \
        }
    #if PY_VERSION_HEX < 0x030E0000
    CEDE_END(cede_end_0)
    CEDE_END(cede_end_1)
    CEDE_END(cede_end_2)
    static void cede_end_one_by_one(PyObject *kind) {
        static const struct { destructor end, *really; } ends[] = {
            {cede_end_0, &cede_end_0_really}, {cede_end_1, &cede_end_1_really}, {cede_end_2, &cede_end_2_really},
        };
        PyTypeObject *type = (PyTypeObject *)kind;
        size_t i = 0;
        while (i < sizeof ends / sizeof ends[0] && *ends[i].really) i++;
        if (i == sizeof ends / sizeof ends[0]) return;
        *ends[i].really = type->tp_dealloc;
        type->tp_dealloc = ends[i].end;
    }
    #else
    #define cede_end_one_by_one(kind) ((void)(kind))
    #endif

    /* What a built-in class tells of itself; text is UTF-8. A class that is never freed keeps it. */
    static int cede_set_text(PyObject *kind, PyObject *text) {
        Py_ssize_t size = PyBytes_GET_SIZE(text) + 1;
        char *kept = (char *)PyMem_Malloc(size);
        if (kept == NULL) return PyErr_NoMemory(), -1;
        ((PyTypeObject *)kind)->tp_doc = (const char *)memcpy(kept, PyBytes_AS_STRING(text), size);
        return 0;
    }
    #define cede_is_built_in(kind) (PyType_Check(kind) && !(((PyTypeObject *)(kind))->tp_flags & Py_TPFLAGS_HEAPTYPE))

    static CYTHON_INLINE PyObject *cede_take(PyObject *list, Py_ssize_t i) {
        PyObject *o = PyList_GET_ITEM(list, i);
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
        return o;
    }

    /* One that grew large once gives its memory back. */
    static CYTHON_INLINE void cede_clear(PyObject *list) {
        Py_ssize_t i, size = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : 0;
        if (size == 0) return;
        if (size > 0x10000) {
            PyList_SetSlice(list, 0, size, NULL);
            return;
        }
        Py_SET_SIZE((PyVarObject *)list, 0);
        for (i = 0; i < size; i++) Py_DECREF(((PyListObject *)list)->ob_item[i]);
    }
    """
    object cede_resume(object context, object coro)
    object cede_throw(object context, object coro, object name, object exc)
    object cede_result_of(object future, object name)
    bint PyExceptionInstance_Check(object obj)
    object cede_traceback_of(object exc)
    object cede_with_traceback(object exc, object tb)
    object cede_cancel(object future, object name, object args, object kwargs)
    object cede_call(object context, object callback, object args)
    object cede_attempt(object context, object callback, object args)
    object cede_call_one(object context, object callback, object arg)
    object cede_call_method(object context, object target, object name, object arg)
    int cede_is_unshared(object obj)
    Py_ssize_t cede_find(object data, object part, Py_ssize_t start)
    object cede_cut(object data, Py_ssize_t start, Py_ssize_t end)
    void cede_track(object o)
    Py_ssize_t Py_REFCNT(object o)
    object cede_snapshot()
    object cede_private_copy(object snapshot)
    void cede_forget_contexts()
    void cede_keep_memory(object kind, int hidden)
    int cede_publish(object kind, object name, object method) except -1
    unsigned int cede_class_version(object kind) noexcept
    object cede_fresh(object kind)
    void cede_end_one_by_one(object kind)
    void cede_drop_empty_dict(object o)
    int cede_has_own(object o, object name) except -1
    int cede_set_text(object kind, bytes text) except -1
    bint cede_is_built_in(object kind)
    object cede_take(list entries, Py_ssize_t index)
    void cede_clear(list entries)
    int PyObject_IS_GC(object o)
    void PyObject_GC_UnTrack(object o)
    unsigned long PyThread_get_thread_ident()
    object PyContext_CopyCurrent()
    double cede_seconds(object number) except? -1.0
    Py_ssize_t cede_size(object number) except? -1


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

cdef inline int forget_contexts() except -1:
    cede_forget_contexts()
    return 0

cdef inline Py_ssize_t size(object number) except? -1:
    return cede_size(number)

cdef inline double seconds(object number) except? -1.0:
    return cede_seconds(number)

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

cdef inline object take(list entries, Py_ssize_t index):
    return cede_take(entries, index)

cdef inline int clear(list entries) except -1:
    cede_clear(entries)
    return 0

cdef inline unsigned long get_ident() noexcept:
    return PyThread_get_thread_ident()
