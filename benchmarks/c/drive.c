/* The limits of scheduling: what no loop can do with less, as it is the interpreter's own part of the work.
 *
 *   drive.ring([coro, …]) -> [result, …]
 *
 * Every coroutine gets a step in turn, by nothing but PyIter_Send, until it returns; what it yields must be None
 * (a bare yield: "let the others run").
 *
 *   drive.throw([coro, …], kind) -> [result, …]
 *
 * A new `kind()` is raised in each suspended coroutine, which must return then.
 *
 *   calls = drive.Calls(); calls.call_soon(callback, argument); calls.run()
 *
 * Callbacks with one argument or none, called in turn until none is left: without handles, without contexts.
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

/* What a coroutine returns in which `error` is raised; NULL with an error set if it goes on or raises. */
static PyObject *end_by(PyObject *coroutine, PyObject *error)
{
    PyObject *value = PyObject_CallMethod(coroutine, "throw", "O", error);
    if (value != NULL) {
        PyErr_Format(PyExc_RuntimeError, "the coroutine waits for %R: it must end", value);
        Py_DECREF(value);
        return NULL;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyObject *type, *stop, *traceback;
    PyErr_Fetch(&type, &stop, &traceback);
    PyErr_NormalizeException(&type, &stop, &traceback);
    value = Py_NewRef(((PyStopIterationObject *)stop)->value);
    Py_DECREF(type);
    Py_DECREF(stop);
    Py_XDECREF(traceback);
    return value;
}

static PyObject *throw(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "throw(coroutines, kind)");
        return NULL;
    }
    PyObject *coroutines = PySequence_List(given[0]);
    if (coroutines == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(coroutines); i++) {
        PyObject *error = PyObject_CallNoArgs(given[1]);
        PyObject *value = error == NULL ? NULL : end_by(PyList_GET_ITEM(coroutines, i), error);
        Py_XDECREF(error);
        if (value == NULL) {
            Py_DECREF(coroutines);
            return NULL;
        }
        PyList_SetItem(coroutines, i, value);
    }
    return coroutines;
}

typedef struct {
    PyObject *callback;
    PyObject *argument; /* or NULL */
} Call;

typedef struct {
    PyObject_HEAD
    Call *calls;
    Py_ssize_t count, room;
} Calls;

static void forget(Call *calls, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(calls[i].callback);
        Py_XDECREF(calls[i].argument);
    }
}

static PyObject *call_soon(Calls *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 1 && count != 2) {
        PyErr_SetString(PyExc_TypeError, "call_soon(callback[, argument])");
        return NULL;
    }
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 16;
        self->calls = PyMem_Realloc(self->calls, self->room * sizeof(Call));
    }
    self->calls[self->count++] = (Call){Py_NewRef(given[0]), count == 2 ? Py_NewRef(given[1]) : NULL};
    Py_RETURN_NONE;
}

static PyObject *run(Calls *self, PyObject *unused)
{
    while (self->count) {
        Call *calls = self->calls;
        Py_ssize_t count = self->count;
        self->calls = NULL;
        self->count = self->room = 0;
        for (Py_ssize_t i = 0; i < count; i++) {
            PyObject *result = PyObject_Vectorcall(calls[i].callback, &calls[i].argument, !!calls[i].argument, NULL);
            if (result == NULL) {
                forget(calls + i, count - i);
                PyMem_Free(calls);
                return NULL;
            }
            Py_DECREF(result);
            forget(calls + i, 1);
        }
        PyMem_Free(calls);
    }
    Py_RETURN_NONE;
}

static void calls_dealloc(Calls *self)
{
    PyTypeObject *type = Py_TYPE(self);
    forget(self->calls, self->count);
    PyMem_Free(self->calls);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef calls_methods[] = {
    {"call_soon", (PyCFunction)(void (*)(void))call_soon, METH_FASTCALL, "Call callback([argument]) in the next turn."},
    {"run", (PyCFunction)run, METH_NOARGS, "Take turns until no call is left."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, calls_dealloc},
    {Py_tp_methods, calls_methods},
    {0, NULL},
};

static PyType_Spec calls_spec = {"drive.Calls", sizeof(Calls), 0, Py_TPFLAGS_DEFAULT, calls_slots};

static PyMethodDef methods[] = {
    {"ring", ring, METH_O, "Resume the coroutines in turn until all have returned; their results."},
    {"throw", (PyCFunction)(void (*)(void))throw, METH_FASTCALL, "Raise kind() in each coroutine; their results."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "drive", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_drive(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *kind = module == NULL ? NULL : PyType_FromSpec(&calls_spec);
    if (kind == NULL || PyModule_AddObject(module, "Calls", kind) < 0) {
        Py_XDECREF(kind);
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
