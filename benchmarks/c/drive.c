/* The limit of scheduling: coroutines resumed in a ring by nothing but PyIter_Send.
 *
 *   drive.ring([coro, …]) -> [result, …]
 *
 * Every coroutine gets a step in turn until it returns; what it yields must be None
 * (a bare yield: "let the others run"). No loop can do less for the same coroutines.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* One step of coroutines[i]; 1 when it returned (its result replaces it), 0 when it yielded, -1 on error. */
static int step(PyObject *coroutines, Py_ssize_t i)
{
    PyObject *value;
    PySendResult outcome = PyIter_Send(PyList_GET_ITEM(coroutines, i), Py_None, &value);
    if (outcome == PYGEN_ERROR)
        return -1;
    if (outcome == PYGEN_RETURN) {
        PyList_SetItem(coroutines, i, value);
        return 1;
    }
    if (value != Py_None) {
        PyErr_Format(PyExc_RuntimeError, "the coroutine waits for %R: only bare yields can be driven", value);
        Py_DECREF(value);
        return -1;
    }
    Py_DECREF(value);
    return 0;
}

static PyObject *ring(PyObject *module, PyObject *given)
{
    PyObject *coroutines = PySequence_List(given);
    if (coroutines == NULL)
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(coroutines), running = count;
    char *done = PyMem_Calloc(count, 1);
    while (running > 0) {
        for (Py_ssize_t i = 0; i < count; i++) {
            if (done[i])
                continue;
            int outcome = step(coroutines, i);
            if (outcome < 0) {
                PyMem_Free(done);
                Py_DECREF(coroutines);
                return NULL;
            }
            done[i] = outcome;
            running -= outcome;
        }
    }
    PyMem_Free(done);
    return coroutines;
}

static PyMethodDef methods[] = {
    {"ring", ring, METH_O, "Resume the coroutines in turn until all have returned; their results."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "drive", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_drive(void)
{
    return PyModule_Create(&definition);
}
