/* What built-in classes and their objects let C do: methods, text, versions, the dict of an object. */
#ifndef CEDE_CLASSES_H
#define CEDE_CLASSES_H

#include "assumptions.h"

#include <string.h>

/* Cython makes its generators of a type that counts its objects, and frees them as if it did not, where other types are
   static, as ours are: each would leave a reference to it. */
#ifdef __Pyx_PyHeapTypeObject_GC_Del
#undef __Pyx_PyHeapTypeObject_GC_Del
#define __Pyx_PyHeapTypeObject_GC_Del(o)                                                                               \
    {                                                                                                                  \
        PyTypeObject *type = Py_TYPE(o);                                                                               \
        PyObject_GC_Del(o);                                                                                            \
        if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) Py_DECREF(type);                                                     \
    }
#endif

/* Whether it is a class of C's. */
#define cede_is_built_in(kind) (PyType_Check(kind) && !(((PyTypeObject *)(kind))->tp_flags & Py_TPFLAGS_HEAPTYPE))

/* Where the object keeps its dict, or NULL if it has no place for one. */
static inline PyObject **cede_dict_of(PyObject *o) {
    Py_ssize_t offset = Py_TYPE(o)->tp_dictoffset;
    return offset > 0 ? (PyObject **)((char *)o + offset) : NULL;
}

/* Free the dict of the object, if it has one and nothing is in it. */
static inline void cede_drop_empty_dict(PyObject *o) {
    PyObject **dict = cede_dict_of(o);
    if (dict && *dict && PyDict_GET_SIZE(*dict) == 0) Py_CLEAR(*dict);
}

/* Whether the object itself, not its class, has an attribute of that name; -1 with an error set. */
static inline int cede_has_own(PyObject *o, PyObject *name) {
    PyObject **dict = cede_dict_of(o);
    return dict && *dict ? PyDict_Contains(*dict, name) : 0;
}

/* Put `function` into a built-in class under `name`; -1 with an error set. A built-in function in a class is no method:
   it is asked for by an object that makes one of it. */
static int cede_publish(PyObject *kind, PyObject *name, PyObject *function) {
    PyObject *method = PyInstanceMethod_New(function);
    int failed = method == NULL || PyDict_SetItem(((PyTypeObject *)kind)->tp_dict, name, method) < 0;
    Py_XDECREF(method);
    if (failed) return -1;
    PyType_Modified((PyTypeObject *)kind);
    return 0;
}

static int cede_versions_are_trusted = 0; /* see cede_trust_versions */

/* The class's version. Setting an attribute of a class takes its version away, and looking one up gives it a new one; a
   class that gets none any more, 0, is taken for one that changes all the time. So are all, if that is not known. */
static inline unsigned int cede_class_version(PyObject *kind) {
    return cede_versions_are_trusted ? ((PyTypeObject *)kind)->tp_version_tag : 0;
}

/* "class versions": setting an attribute of a class changes its version. */
static int cede_versions_are_known(void) {
    PyObject *kind = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "Versioned"), *found;
    unsigned int before;
    int holds = 0;
    if (kind && (found = PyObject_GetAttrString(kind, "__init__")) != NULL) {
        Py_DECREF(found);
        before = ((PyTypeObject *)kind)->tp_version_tag;
        if (PyObject_SetAttrString(kind, "field", Py_None) == 0 && (found = PyObject_GetAttrString(kind, "field"))) {
            holds = before == 0 || ((PyTypeObject *)kind)->tp_version_tag != before;
            Py_DECREF(found);
        }
    }
    Py_XDECREF(kind);
    PyErr_Clear();
    return holds;
}

/* Trust in versions from now on, if the interpreter is as assumed. 0, or -1 with an error set. */
static inline int cede_trust_versions(void) {
    int allowed = cede_allows("class versions", cede_versions_are_known());
    cede_versions_are_trusted = allowed > 0;
    return allowed < 0 ? -1 : 0;
}

/* Make `text`, UTF-8, what a built-in class tells of itself. As it is never freed, it keeps it. -1 with an error set.
 */
static int cede_set_text(PyObject *kind, PyObject *text) {
    Py_ssize_t size = PyBytes_GET_SIZE(text) + 1;
    char *kept = (char *)PyMem_Malloc(size);
    if (kept == NULL) return PyErr_NoMemory(), -1;
    ((PyTypeObject *)kind)->tp_doc = (const char *)memcpy(kept, PyBytes_AS_STRING(text), size);
    return 0;
}

#endif
