/* Copies of the current context that share its variables.
   What a context says is one immutable map, which setting a variable replaces: two contexts with the same map say the
   same. Where CPython keeps the map is known of the versions below, and tried; elsewhere each copy is made. The caller
   holds the global lock. */
#ifndef CEDE_CONTEXTS_H
#define CEDE_CONTEXTS_H

#include "assumptions.h"

#if !defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x03100000
#define CEDE_SHARES_CONTEXTS 1
typedef struct {
    PyObject_HEAD
    PyObject *previous, *variables;
} cede_context;
#define cede_variables(context) (((cede_context *)(context))->variables)
#else
#define CEDE_SHARES_CONTEXTS 0
#endif

/* The last of each that was given out: a reference each, or NULL. Each compiled module has its own. */
static PyObject *cede_last_snapshot = NULL, *cede_last_copy = NULL;
static int cede_contexts_are_shared = 0; /* see cede_share_contexts */

/* "shared contexts": two copies have the same map until a variable is set in one. */
static int cede_contexts_are_known(void) {
    int holds = 0;
#if CEDE_SHARES_CONTEXTS
    PyObject *one = PyContext_CopyCurrent(), *other = one ? PyContext_Copy(one) : NULL, *token = NULL;
    PyObject *variable = PyContextVar_New("cede", NULL);
    if (other && variable && Py_TYPE(one)->tp_basicsize >= (Py_ssize_t)sizeof(cede_context) && cede_variables(one) &&
        cede_variables(one) == cede_variables(other) && PyContext_Enter(other) == 0) {
        holds = PyThreadState_Get()->context == other;
        token = PyContextVar_Set(variable, Py_None);
        holds = PyContext_Exit(other) == 0 && holds && token && cede_variables(one) != cede_variables(other);
    }
    Py_XDECREF(token);
    Py_XDECREF(variable);
    Py_XDECREF(other);
    Py_XDECREF(one);
    PyErr_Clear();
#endif
    return holds;
}

/* Share contexts from now on, if the interpreter is as assumed. 0, or -1 with an error set. */
static inline int cede_share_contexts(void) {
    int allowed = cede_allows("shared contexts", cede_contexts_are_known());
    cede_contexts_are_shared = allowed > 0;
    return allowed < 0 ? -1 : 0;
}

/* A context that says what the current one does, and that nobody enters: a new reference, or NULL with an error set. */
static inline PyObject *cede_snapshot(void) {
#if CEDE_SHARES_CONTEXTS
    PyObject *old = cede_last_snapshot, *current;
    if (!cede_contexts_are_shared) return PyContext_CopyCurrent();
    current = PyThreadState_Get()->context;
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

/* A context that says what `snapshot` does, and that nobody else holds: a new reference, or NULL with an error set. */
static inline PyObject *cede_private_copy(PyObject *snapshot) {
#if CEDE_SHARES_CONTEXTS
    PyObject *old = cede_last_copy, *copy;
    if (!cede_contexts_are_shared) return Py_NewRef(snapshot);
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

/* Let go of what is kept, if it has variables: they may hold anything. */
static inline void cede_forget_context(PyObject **place) {
    if (*place && PyObject_Size(*place)) Py_CLEAR(*place);
}

/* The same of both. */
static inline void cede_forget_contexts(void) {
    cede_forget_context(&cede_last_snapshot);
    cede_forget_context(&cede_last_copy);
}

#endif
