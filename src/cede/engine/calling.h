/* Calls into other people's code, in a context: callbacks, the steps of coroutines, what a task waits for. */
#ifndef CEDE_CALLING_H
#define CEDE_CALLING_H

#include "tracebacks.h"

/* The answer of a step, see native.py: what was yielded, (StopIteration, result) or (BaseException, error). It takes
   the reference to `value`. A new reference, or NULL with an error set (no memory). */
static inline PyObject *cede_answer(PySendResult outcome, PyObject *value) {
    PyObject *pair, *kind;
    if (outcome == PYGEN_NEXT) return value;
    if (outcome == PYGEN_RETURN) {
        kind = PyExc_StopIteration;
    } else {
        kind = PyExc_BaseException;
        value = cede_raised();
    }
    pair = PyTuple_Pack(2, kind, value);
    Py_DECREF(value);
    return pair;
}

/* Send None into `coro` inside of `context`: the answer of the step, a new reference. */
static inline PyObject *cede_resume(PyObject *context, PyObject *coro) {
    PyObject *value = NULL;
    PySendResult outcome;
    if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
    outcome = PyIter_Send(coro, Py_None, &value);
    if (PyContext_Exit(context) < 0) {
        outcome = PYGEN_ERROR;
        Py_CLEAR(value);
    }
    return cede_answer(outcome, value);
}

/* The value of the StopIteration that is set, which it takes: a new reference; NULL if another error came of looking at
   it, which is set then. */
static PyObject *cede_stop_value(void) {
    PyObject *stop = cede_raised(), *value;
    if (PyObject_TypeCheck(stop, (PyTypeObject *)PyExc_StopIteration)) {
        value = ((PyStopIterationObject *)stop)->value;
        value = Py_NewRef(value ? value : Py_None); /* none, if it was never initialized */
        Py_DECREF(stop);
        return value;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(stop), stop);
    Py_DECREF(stop);
    return NULL;
}

/* Throw `exc` into `coro` inside of `context`, by the method `name`: the answer of the step, a new reference. */
static PyObject *cede_throw(PyObject *context, PyObject *coro, PyObject *name, PyObject *exc) {
    PyObject *value;
    PySendResult outcome;
    if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
    value = PyObject_CallMethodOneArg(coro, name, exc);
    outcome = value ? PYGEN_NEXT : PYGEN_ERROR;
    if (PyContext_Exit(context) < 0) {
        outcome = PYGEN_ERROR;
        Py_CLEAR(value);
    } else if (outcome == PYGEN_ERROR && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        value = cede_stop_value();
        if (value) outcome = PYGEN_RETURN;
    }
    return cede_answer(outcome, value);
}

/* Call `future.name(*args, **kwargs)`, no deeper than the recursion limit: a future may be one that waits for another,
   and so on. */
static PyObject *cede_cancel(PyObject *future, PyObject *name, PyObject *args, PyObject *kwargs) {
    PyObject *method, *result = NULL;
    if (Py_EnterRecursiveCall(" while cancelling what a task waits for")) return NULL;
    method = PyObject_GetAttr(future, name);
    if (method) result = PyObject_Call(method, args, kwargs);
    Py_XDECREF(method);
    Py_LeaveRecursiveCall();
    return result;
}

/* What `future.name()` returned or raised, as the answer of a step that ended. */
static PyObject *cede_result_of(PyObject *future, PyObject *name) {
    PyObject *value = PyObject_CallMethodNoArgs(future, name);
    return cede_answer(value ? PYGEN_RETURN : PYGEN_ERROR, value);
}

/* `callback(*args)` inside of `context`: a new reference, or NULL with an error set. `args` is a tuple, or refused. */
static inline PyObject *cede_call(PyObject *context, PyObject *callback, PyObject *args) {
    PyObject *result;
    if (!PyTuple_Check(args)) return PyErr_SetString(PyExc_TypeError, "the arguments are no tuple"), NULL;
    if (PyContext_Enter(context) < 0) return NULL;
    result = PyObject_Vectorcall(callback, ((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args), NULL);
    if (PyContext_Exit(context) < 0) Py_CLEAR(result);
    return result;
}

/* As cede_call, but what it returns goes: None, or what was raised. */
static inline PyObject *cede_attempt(PyObject *context, PyObject *callback, PyObject *args) {
    PyObject *result = cede_call(context, callback, args);
    if (result == NULL) return cede_raised();
    Py_DECREF(result);
    return Py_NewRef(Py_None);
}

/* `callback(arg)` inside of `context`: a new reference, or NULL with an error set. */
static inline PyObject *cede_call_one(PyObject *context, PyObject *callback, PyObject *arg) {
    PyObject *result;
    if (PyContext_Enter(context) < 0) return NULL;
    result = PyObject_CallOneArg(callback, arg);
    if (PyContext_Exit(context) < 0) Py_CLEAR(result);
    return result;
}

/* `target.name(arg)` inside of `context`: a new reference, or NULL with an error set. */
static inline PyObject *cede_call_method(PyObject *context, PyObject *target, PyObject *name, PyObject *arg) {
    PyObject *result, *args[2];
    if (PyContext_Enter(context) < 0) return NULL;
    args[0] = target;
    args[1] = arg;
    result = PyObject_VectorcallMethod(name, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (PyContext_Exit(context) < 0) Py_CLEAR(result);
    return result;
}

#endif
