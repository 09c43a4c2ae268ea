/* How objects of some classes end: one by one, however long the chain is, and without a finalizer that is silent. */
#ifndef CEDE_ENDINGS_H
#define CEDE_ENDINGS_H

#include "memory.h"
#include "tools.h"

/* An end of a type's own, inside of the interpreter's trashcan; since 3.14 the interpreter sees to it itself. */
#define CEDE_END(name)                                                                                                 \
    static destructor name##_really;                                                                                   \
    static void name(PyObject *o) {                                                                                    \
        PyObject_GC_UnTrack(o);                                                                                        \
        Py_TRASHCAN_BEGIN(o, name) name##_really(o);                                                                   \
        Py_TRASHCAN_END                                                                                                \
    }
#if PY_VERSION_HEX < 0x030E0000
CEDE_END(cede_end_0)
CEDE_END(cede_end_1)
CEDE_END(cede_end_2)

/* Objects of `kind` that hold one another in a chain are freed one by one, not each inside of the one before it: the
   stack has an end. Up to three classes a module. */
static void cede_end_one_by_one(PyObject *kind) {
    static const struct {
        destructor end, *really;
    } ends[] = {
        {cede_end_0, &cede_end_0_really},
        {cede_end_1, &cede_end_1_really},
        {cede_end_2, &cede_end_2_really},
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

/* Calling a finalizer costs more than all else at the end of an object, and a future's or task's nearly never has
   anything to say: it is called if `talks` says so. One of a subclass in Python was called before this. */
typedef int (*cede_talks_t)(PyObject *);
typedef struct {
    PyTypeObject *type; /* the class itself: of objects of others the finalizer is not called here */
    cede_talks_t talks; /* whether the finalizer of this object has anything to do */
    destructor dealloc; /* what ends it then */
} cede_quiet;

/* End `o`. The collector may see it again, if the finalizer keeps it. */
static inline void cede_end(cede_quiet *kind, PyObject *o) {
    if (Py_TYPE(o) == kind->type && kind->talks(o)) {
        cede_track(o);
        if (PyObject_CallFinalizerFromDealloc(o)) return;
    }
    kind->dealloc(o);
}

static int cede_ends_counted; /* how often cede_count_end was called */
static inline void cede_count_end(PyObject *o) {
    (void)o;
    cede_ends_counted++;
}
/* A finalizer that always, or never, has something to do. */
static inline int cede_always(PyObject *o) {
    (void)o;
    return 1;
}
static inline int cede_never(PyObject *o) {
    (void)o;
    return 0;
}

/* "quiet ends": an object ends without its finalizer, but with it if it talks. `kind` is installed, and tried here. */
static inline int cede_ends_are_known(cede_quiet *kind) {
    PyTypeObject *type = kind->type;
    cede_talks_t talks = kind->talks;
    destructor finalizer = type->tp_finalize;
    int expected, holds = finalizer != NULL && !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
    type->tp_finalize = cede_count_end;
    for (expected = 0; expected < 2 && holds; expected++) {
        PyObject *arguments = PyTuple_New(0), *o = arguments ? type->tp_new(type, arguments, NULL) : NULL;
        kind->talks = expected ? cede_always : cede_never;
        cede_ends_counted = 0;
        holds = o != NULL;
        Py_XDECREF(o);
        Py_XDECREF(arguments);
        holds = holds && cede_ends_counted == expected;
    }
    PyErr_Clear();
    type->tp_finalize = finalizer;
    kind->talks = talks;
    return holds;
}

/* Have the objects of a class end by `end`, and silently only if the interpreter is as assumed; a finalizer is called
   once, whoever asks for it. 0, or -1 with an error set. */
static inline int cede_make_quiet(cede_quiet *kind, PyTypeObject *type, cede_talks_t talks, destructor end) {
    int allowed;
    *kind = (cede_quiet){type, talks, type->tp_dealloc};
    type->tp_dealloc = end;
    allowed = cede_allows("quiet ends", cede_ends_are_known(kind));
    if (allowed <= 0) kind->talks = cede_always;
    return allowed < 0 ? -1 : 0;
}
#define CEDE_QUIET(name, first)                                                                                        \
    static cede_quiet name##_kind;                                                                                     \
    static void name(PyObject *o) {                                                                                    \
        first;                                                                                                         \
        cede_end(&name##_kind, o);                                                                                     \
    }                                                                                                                  \
    static inline int name##_of(PyTypeObject *type, cede_talks_t talks) {                                              \
        return cede_make_quiet(&name##_kind, type, talks, name);                                                       \
    }
CEDE_QUIET(cede_end_future, )
CEDE_QUIET(cede_end_task, cede_delist(o))
CEDE_QUIET(cede_end_waiting, )

#endif
