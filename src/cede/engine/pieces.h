/* Looking for bytes in bytes, and cutting pieces out of them; and taking entries out of lists. */
#ifndef CEDE_PIECES_H
#define CEDE_PIECES_H

#include <Python.h>
#include <string.h>

/* Where the bytes of `data` begin, and how many there are. Of what is neither bytes nor a bytearray, the None of an
   object that nobody initialized: nothing. */
static inline const char *cede_memory(PyObject *data, Py_ssize_t *size) {
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

/* The first index, at or behind `start`, where `part` begins in `data`; -1 if there is none, or `part` is empty. */
static inline Py_ssize_t cede_find(PyObject *data, PyObject *part, Py_ssize_t start) {
    Py_ssize_t size, part_size;
    const char *memory = cede_memory(data, &size), *part_memory = cede_memory(part, &part_size), *found;
    if (start < 0 || part_size == 0 || size - start < part_size) return -1;
    if (part_size == 1) found = (const char *)memchr(memory + start, part_memory[0], size - start);
    else found = (const char *)memmem(memory + start, size - start, part_memory, part_size);
    return found == NULL ? -1 : found - memory;
}

/* A new bytes of `data` from `start` to `end`, both brought into its bounds; NULL with an error set. */
static inline PyObject *cede_cut(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
    Py_ssize_t size;
    const char *memory = cede_memory(data, &size);
    if (end > size) end = size;
    if (start < 0) start = 0;
    return PyBytes_FromStringAndSize(memory + start, end > start ? end - start : 0);
}

/* The entry at `i`, which is None in the list from now on. */
static inline PyObject *cede_take(PyObject *list, Py_ssize_t i) {
    PyObject *o = PyList_GET_ITEM(list, i);
    PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
    return o;
}

/* Empty a list but keep its memory for the next entries. One that grew large once gives it back. */
static inline void cede_clear(PyObject *list) {
    Py_ssize_t i, size = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : 0;
    if (size == 0) return;
    if (size > 0x10000) {
        PyList_SetSlice(list, 0, size, NULL);
        return;
    }
    Py_SET_SIZE((PyVarObject *)list, 0);
    for (i = 0; i < size; i++) Py_DECREF(((PyListObject *)list)->ob_item[i]);
}

#endif
