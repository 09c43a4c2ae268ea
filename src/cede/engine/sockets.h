/* Which sockets the system is asked about by their number, without a method call. */
#ifndef CEDE_SOCKETS_H
#define CEDE_SOCKETS_H

#include "assumptions.h"

/* A socket of the standard library's own class is asked by its number, which stands first in the object and is -1 once
   the program closed or detached it: no byte goes to who has the number then. One of another class has methods of its
   own, which the twin in Python calls. */
struct cede_numbered {
    PyObject_HEAD
    int number;
};
static PyTypeObject *cede_socket_type = NULL, *cede_file_type = NULL; /* io.FileIO is made so, too */
static PyObject *cede_methods = NULL;                                 /* the twin in Python */
#define cede_number(sock) (((struct cede_numbered *)(sock))->number)

/* The class of that name if its objects look so, else None: a new reference; NULL with an error set. */
static PyObject *cede_numbered_class(const char *module_name, const char *name) {
    PyObject *module = PyImport_ImportModule(module_name), *kind = NULL, *blank = NULL;
    int allowed = -1;
    if (module) kind = PyObject_GetAttrString(module, name);
    if (kind) blank = PyObject_CallMethod(kind, "__new__", "O", kind);
    if (blank)
        allowed =
            cede_allows("sockets by number", Py_TYPE(blank)->tp_basicsize >= (Py_ssize_t)sizeof(struct cede_numbered) &&
                                                 cede_number(blank) == -1);
    if (allowed == 0) Py_SETREF(kind, Py_NewRef(Py_None));
    if (allowed < 0) Py_CLEAR(kind);
    Py_XDECREF(module);
    Py_XDECREF(blank);
    return kind;
}

/* 0, or -1 with an error set. Where the object looks different, no socket is taken for a plain one. */
static int cede_learn_sockets(void) {
    PyObject *sockets = cede_numbered_class("socket", "socket"), *files = NULL, *methods = NULL;
    if (sockets) files = cede_numbered_class("io", "FileIO");
    if (files) methods = PyImport_ImportModule("cede.engine.syscalls");
    if (methods && cede_methods == NULL) {
        cede_methods = Py_NewRef(methods);
        cede_socket_type = (PyTypeObject *)Py_NewRef(sockets);
        cede_file_type = (PyTypeObject *)Py_NewRef(files);
    }
    Py_XDECREF(sockets);
    Py_XDECREF(files);
    if (methods == NULL) return -1;
    Py_DECREF(methods);
    return 0;
}

/* Whether the system is asked, by number; -1 with an error set. */
static inline int cede_is_plain(PyObject *sock) {
    if (Py_TYPE(sock) == cede_socket_type) return 1;
    if (cede_methods == NULL) return cede_learn_sockets() < 0 ? -1 : Py_TYPE(sock) == cede_socket_type;
    return 0;
}

/* A descriptor from here up is no real kernel's: the twin in Python is asked, whose calls a simulation replaces. */
#define CEDE_SIMULATED (1 << 30)

/* The twin in Python: a new reference, NULL with an error set. */
static PyObject *cede_twin(void) {
    if (cede_methods == NULL && cede_learn_sockets() < 0) return NULL;
    return Py_NewRef(cede_methods);
}

/* Whether the number stands in the object; after cede_is_plain. */
#define cede_knows_number(file) (Py_TYPE(file) == cede_socket_type || Py_TYPE(file) == cede_file_type)

#endif
