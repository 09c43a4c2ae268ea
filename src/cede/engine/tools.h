/* What tools of Python 3.14 and newer read that look into a process from outside (`python -m asyncio ps`, the sampling
   profiler): the list of a thread's tasks, and in each task who awaits it. They take every task for one of C's
   asyncio.Task and look for its fields where that has them. Nothing of it is called; it is memory that has to look so.

   The caller holds the global lock; where there is none, and before 3.14, there is no list. */
#ifndef CEDE_TOOLS_H
#define CEDE_TOOLS_H

#include <Python.h>

/* A place in the list of tasks: its neighbours, both NULL outside of it. */
typedef struct cede_place {
    struct cede_place *next, *before;
} cede_place;

/* Where the list's head lies in a thread's state, and the place in a task; 0: tasks stand in no list. */
static Py_ssize_t cede_list_head, cede_list_place;

/* Let tasks stand in the list from now on. Whether they can; that they are laid out so is the caller's to know. */
static inline int cede_list_tasks(Py_ssize_t head, Py_ssize_t place) {
#if PY_VERSION_HEX >= 0x030E0000 && !defined(Py_GIL_DISABLED)
    cede_list_place = place;
    cede_list_head = head;
    return 1;
#else
    (void)head;
    (void)place;
    return 0;
#endif
}

/* Put a task at the end of this thread's list, unless it is in one. */
static inline void cede_enlist(PyObject *task) {
    cede_place *head, *place = (cede_place *)((char *)task + cede_list_place);
    if (!cede_list_head || place->next) return;
    head = (cede_place *)((char *)PyThreadState_Get() + cede_list_head);
    /* Order: whoever reads meanwhile, from outside, finds a whole list. */
    place->next = head;
    place->before = head->before;
    head->before->next = place;
    head->before = place;
}

/* Take a task out of the list that it is in, whichever thread's, if it is in one. */
static inline void cede_delist(PyObject *task) {
    cede_place *place;
    if (!cede_list_head) return;
    place = (cede_place *)((char *)task + cede_list_place);
    if (!place->next) return;
    place->before->next = place->next;
    place->next->before = place->before;
    place->next = place->before = NULL;
}

#if PY_VERSION_HEX >= 0x030E0000
/* An object that is never freed, and for a reader from outside a set in which there is nothing. */
static PySetObject cede_empty;
static inline PyObject *cede_nobody(void) {
    cede_empty = (PySetObject){.ob_base = PyObject_HEAD_INIT(&PyBaseObject_Type)};
    cede_empty.mask = PySet_MINSIZE - 1;
    cede_empty.table = cede_empty.smalltable;
    return (PyObject *)&cede_empty;
}

/* A text that is never freed, as a template's fields are copied without being counted. NULL with an error set. */
static inline PyObject *cede_unnamed(void) {
    PyObject *text = PyUnicode_FromString("Task");
    if (text) Py_SET_REFCNT(text, Py_REFCNT(Py_None));
    return text;
}
#else
#define cede_nobody() Py_NewRef(Py_None)
#define cede_unnamed() Py_NewRef(Py_None)
#endif

#endif
