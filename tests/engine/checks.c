/* A module `checks`, with which the headers of the engine look at an interpreter that seems to have changed. See
   test_changed_interpreter.py, which compiles it. Each lie stands between the headers and a function of the
   interpreter's. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

static char lie[80]; /* what is changed; empty: nothing */
#define CHANGED(what) (strcmp(lie, what) == 0)

static void changed_untrack(void *o) {
    PyObject_GC_UnTrack(o);
    if (CHANGED("a mark stays before what is untracked") && PyList_CheckExact((PyObject *)o)) ((uintptr_t *)o)[-1] |= 1;
}

static void changed_track(void *o) {
    if (CHANGED("what was untracked stays so")) return;
    if (PyList_CheckExact((PyObject *)o)) ((uintptr_t *)o)[-1] &= ~(uintptr_t)1;
    PyObject_GC_Track(o);
}

static Py_ssize_t changed_count(PyObject *o) {
    static Py_ssize_t more;
    return CHANGED("references to None are counted") && o == Py_None ? ++more : Py_REFCNT(o);
}

static PyObject *changed_copy(PyObject *context) {
    PyObject *copy = PyContext_Copy(context), *variable, *token;
    if (copy && CHANGED("a copy of a context has a map of its own") && PyContext_Enter(copy) == 0) {
        variable = PyContextVar_New("own", NULL);
        token = variable ? PyContextVar_Set(variable, Py_None) : NULL;
        Py_XDECREF(token);
        Py_XDECREF(variable);
        if (PyContext_Exit(copy) < 0) Py_CLEAR(copy);
    }
    return copy;
}

static PyObject *changed_set(PyObject *variable, PyObject *value) {
    if (CHANGED("a variable is set in the map that there is")) return Py_NewRef(Py_None);
    return PyContextVar_Set(variable, value);
}

static PyObject *changed_call(PyObject *function, PyObject *value) {
    PyObject *made = PyObject_CallOneArg(function, value);
    /* What the engine raises, having found out, it does not look at; what the check made is. */
    if (made && function == PyExc_StopIteration && value == Py_True &&
        CHANGED("StopIteration keeps its value elsewhere"))
        Py_CLEAR(((PyStopIterationObject *)made)->value);
    return made;
}

static int changed_matches(PyObject *kind) {
    if (CHANGED("a derived StopIteration is another exception")) return 0;
    return PyErr_ExceptionMatches(kind);
}

static int changed_set_attribute(PyObject *o, const char *name, PyObject *value) {
    if (PyType_Check(o) && CHANGED("setting an attribute of a class keeps its version"))
        return PyDict_SetItemString(((PyTypeObject *)o)->tp_dict, name, value);
    return PyObject_SetAttrString(o, name, value);
}

#undef Py_REFCNT
#define Py_REFCNT(o) changed_count((PyObject *)(o))
#define PyObject_GC_UnTrack changed_untrack
#define PyObject_GC_Track changed_track
#define PyContext_Copy changed_copy
#define PyContextVar_Set changed_set
#define PyObject_CallOneArg changed_call
#define PyErr_ExceptionMatches changed_matches
#define PyObject_SetAttrString changed_set_attribute
#include "cede/engine/await.h"
#include "cede/engine/contexts.h"
#include "cede/engine/endings.h"

/* A class as Cython makes them: with a field, a finalizer that counts, and an end that leaves finalizing to whoever
   replaced it, unless that has changed. */
typedef struct {
    PyObject_HEAD
    PyObject *field;
} thing;
static int finalized;
static PyTypeObject thing_type;

static int thing_traverse(PyObject *o, visitproc visit, void *arg) {
    Py_VISIT(((thing *)o)->field);
    return 0;
}

static void thing_finalize(PyObject *o) {
    (void)o;
    finalized++;
}

static void thing_end(PyObject *o) {
    if (Py_TYPE(o)->tp_dealloc == thing_end || CHANGED("an end calls the finalizer, whoever replaced it")) {
        if (PyObject_CallFinalizerFromDealloc(o)) return;
    }
    (PyObject_GC_UnTrack)(o);
    Py_XDECREF(((thing *)o)->field);
    Py_TYPE(o)->tp_free(o);
}

static PyObject *thing_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    thing *made = (thing *)type->tp_alloc(type, 0);
    (void)args;
    (void)kwargs;
    if (made) made->field = Py_NewRef(Py_None);
    return (PyObject *)made;
}

static PyTypeObject thing_type = {
    .ob_base = {PyObject_HEAD_INIT(NULL) 0},
    .tp_name = "checks.Thing",
    .tp_basicsize = sizeof(thing),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = thing_new,
    .tp_dealloc = thing_end,
    .tp_finalize = thing_finalize,
    .tp_traverse = thing_traverse,
};

/* Install all tricks, as the modules of the engine do at import, in an interpreter changed so. */
static PyObject *install(PyObject *self, PyObject *args) {
    const char *change;
    (void)self;
    if (!PyArg_ParseTuple(args, "s", &change)) return NULL;
    strncpy(lie, change, sizeof lie - 1);
    if (cede_keep_memory((PyObject *)&thing_type, 1) < 0) return NULL;
    if (cede_share_contexts() < 0 || cede_prepare_stop() < 0 || cede_trust_versions() < 0) return NULL;
    if (cede_end_future_of(&thing_type, cede_never) < 0) return NULL;
    Py_RETURN_NONE;
}

/* What is in use: (kept memory, copied objects, hidden objects, shared contexts, own StopIteration, quiet ends, class
   versions). */
static PyObject *used(PyObject *self, PyObject *unused) {
    cede_pool *pool = cede_pool_of(&thing_type);
    (void)self;
    (void)unused;
    return Py_BuildValue("iiiiiii", pool != NULL, pool && pool->copied, pool && pool->hidden, cede_contexts_are_shared,
                         cede_stop_is_own, cede_end_future_kind.talks == cede_never, cede_versions_are_trusted);
}

static PyObject *make(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return cede_fresh((PyObject *)&thing_type);
}

static PyObject *track(PyObject *self, PyObject *o) {
    (void)self;
    cede_track(o);
    Py_RETURN_NONE;
}

static PyObject *count_finalized(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return PyLong_FromLong(finalized);
}

static PyObject *version(PyObject *self, PyObject *kind) {
    (void)self;
    return PyLong_FromUnsignedLong(cede_class_version(kind));
}

/* Raise StopIteration(value). */
static PyObject *stop(PyObject *self, PyObject *value) {
    (void)self;
    cede_set_stop(value);
    return NULL;
}

static PyObject *snapshot(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return cede_snapshot();
}

static PyObject *private_copy(PyObject *self, PyObject *context) {
    (void)self;
    return cede_private_copy(context);
}

static PyMethodDef methods[] = {
    {"install", install, METH_VARARGS, NULL},
    {"used", used, METH_NOARGS, NULL},
    {"make", make, METH_NOARGS, NULL},
    {"track", track, METH_O, NULL},
    {"finalized", count_finalized, METH_NOARGS, NULL},
    {"version", version, METH_O, NULL},
    {"stop", stop, METH_O, NULL},
    {"snapshot", snapshot, METH_NOARGS, NULL},
    {"private_copy", private_copy, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "checks",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_checks(void) {
    return PyType_Ready(&thing_type) < 0 ? NULL : PyModule_Create(&definition);
}
