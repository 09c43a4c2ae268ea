/* Numbers: those of the user's as C has them, and one after the other. */
#ifndef CEDE_NUMBERS_H
#define CEDE_NUMBERS_H

#include <Python.h>

/* A truth value in one byte. */
typedef unsigned char cede_flag;

/* A number of seconds; -1.0 with an error set. What cannot be added to a float is refused, as it is interpreted. */
static inline double cede_seconds(PyObject *number) {
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

/* A size, cut off at what the type holds; -1 with an error set. */
static inline Py_ssize_t cede_size(PyObject *number) {
    return PyNumber_AsSsize_t(number, NULL);
}

/* 1, then 2, and so on: to each who asks another number, whatever the thread. Each compiled module counts for itself.
 */
static inline long long cede_next_number(void) {
    static long long given = 0;
#ifdef Py_GIL_DISABLED
    return __atomic_add_fetch(&given, 1, __ATOMIC_RELAXED);
#else
    return ++given;
#endif
}

#endif
