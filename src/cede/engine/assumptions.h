/* Whether a trick may be used: see assumptions.py, which has the table. */
#ifndef CEDE_ASSUMPTIONS_H
#define CEDE_ASSUMPTIONS_H

#include <Python.h>

/* 1 if the trick of that name may be used, whose assumption `holds` or not; 0 if it may not; -1 with an error set. */
static int cede_allows(const char *trick, int holds) {
    PyObject *table = PyImport_ImportModule("cede.engine.assumptions"), *answer = NULL;
    int allowed = -1;
    if (table) answer = PyObject_CallMethod(table, "allows", "sO", trick, holds ? Py_True : Py_False);
    if (answer) allowed = answer == Py_True;
    Py_XDECREF(answer);
    Py_XDECREF(table);
    return allowed;
}

/* "kept memory": the two words before an object are the collector's. */
static int cede_collector_is_known(const PyTypeObject *type) {
    PyObject *o = PyList_New(0);
    const uintptr_t *words;
    int holds;
    if (o == NULL) return PyErr_Clear(), 0;
    words = (uintptr_t *)o - 2;
    holds = PyObject_GC_IsTracked(o) && (words[0] || words[1]);
    PyObject_GC_UnTrack(o);
    holds = holds && !PyObject_GC_IsTracked(o) && !words[0] && !words[1];
    PyObject_GC_Track(o);
    Py_DECREF(o);
#ifdef Py_TPFLAGS_MANAGED_DICT
    holds = holds && !(type->tp_flags & Py_TPFLAGS_MANAGED_DICT); /* it would stand before these */
#endif
#ifdef Py_TPFLAGS_MANAGED_WEAKREF
    holds = holds && !(type->tp_flags & Py_TPFLAGS_MANAGED_WEAKREF);
#endif
    return holds && (type->tp_flags & Py_TPFLAGS_HAVE_GC);
}

/* "hidden handles": what the collector does not know can be shown to it, and can end unknown to it. */
static int cede_can_be_hidden(void) {
    PyObject *o = PyList_New(0);
    int holds;
    if (o == NULL) return PyErr_Clear(), 0;
    PyObject_GC_UnTrack(o);
    holds = !PyObject_GC_IsTracked(o);
    PyObject_GC_Track(o);
    holds = holds && PyObject_GC_IsTracked(o);
    PyObject_GC_UnTrack(o);
    Py_DECREF(o);
    return holds;
}

/* "copied objects": nobody counts who refers to None. */
static int cede_none_is_immortal(void) {
    Py_ssize_t before = Py_REFCNT(Py_None);
    int holds;
    Py_INCREF(Py_None);
    holds = Py_REFCNT(Py_None) == before;
    Py_DECREF(Py_None);
    return holds;
}

#endif
