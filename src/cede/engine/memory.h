/* The memory of objects that are made and freed all the time: kept for the next one of the class, and filled by a copy.
   The caller holds the global lock; where there is none nothing is kept. */
#ifndef CEDE_MEMORY_H
#define CEDE_MEMORY_H

#include "classes.h"

/* What is kept is as good as freed: a build with the address sanitizer is told so. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif

/* What `x is the only reference to it` means, on each version. */
#if PY_VERSION_HEX >= 0x030E0000
#define cede_is_unshared(obj) PyUnstable_Object_IsUniquelyReferenced(obj)
#else
#define cede_is_unshared(obj) (Py_REFCNT(obj) == 1)
#endif

/* Let the collector see the object, if it may and does not yet. An empty tuple is one for all, and never tracked. */
static inline void cede_track(PyObject *o) {
    if (!PyObject_IS_GC(o) || PyObject_GC_IsTracked(o)) return;
    if (PyTuple_CheckExact(o) && PyTuple_GET_SIZE(o) == 0) return;
    PyObject_GC_Track(o);
}

/* The memory of up to CEDE_KEPT dead objects of a class, where freeing puts it and making takes it from. The first two
   words before a tracked object are the collector's; zero means: untracked, not finalized. */
#define CEDE_KEPT 1024
#define CEDE_KINDS 8
typedef struct {
    PyTypeObject *type; /* NULL: this pool and those behind it are not in use */
    PyObject *template; /* one that was never given anything, for cede_fresh; NULL until the first is asked for */
    int hidden;         /* whether its objects are made untracked */
    int copied;         /* whether they are made by copying the template */
    int count;          /* of what is kept */
    void *kept[CEDE_KEPT];
} cede_pool;
static cede_pool cede_pools[CEDE_KINDS]; /* each compiled module has its own, for the classes it defines */

/* The pool of a class, or NULL if its memory is not kept. */
static inline cede_pool *cede_pool_of(PyTypeObject *type) {
    int i;
    for (i = 0; i < CEDE_KINDS && cede_pools[i].type; i++)
        if (cede_pools[i].type == type) return &cede_pools[i];
    return NULL;
}

/* Where the memory of an object of that class begins, with the collector's words, and how long it is. */
#define cede_begin_of(o) ((void *)((uintptr_t *)(o) - 2))
#define cede_length_of(type) ((size_t)(type)->tp_basicsize + 2 * sizeof(uintptr_t))

/* Memory that is kept, which there is, for an object of the pool's class. */
static inline PyObject *cede_take_kept(cede_pool *pool) {
    PyObject *o = (PyObject *)pool->kept[--pool->count];
    ASAN_UNPOISON_MEMORY_REGION(cede_begin_of(o), cede_length_of(pool->type));
    return o;
}

/* The `tp_alloc` of a class that has a pool, and of those derived from it: as PyType_GenericAlloc. */
static PyObject *cede_alloc(PyTypeObject *type, Py_ssize_t items) {
    cede_pool *pool = cede_pool_of(type);
    PyObject *o;
    if (!pool) return PyType_GenericAlloc(type, items);
    if (pool->count == 0) {
        o = PyType_GenericAlloc(type, items);
        if (o && pool->hidden) PyObject_GC_UnTrack(o);
        return o;
    }
    o = cede_take_kept(pool);
    memset(cede_begin_of(o), 0, cede_length_of(type));
    PyObject_Init(o, type);
    if (!pool->hidden) PyObject_GC_Track(o);
    return o;
}

/* The `tp_free` that goes with it. */
static void cede_free(void *o) {
    cede_pool *pool = cede_pool_of(Py_TYPE((PyObject *)o));
    if (pool == NULL || pool->count == CEDE_KEPT) {
        PyObject_GC_Del(o);
        return;
    }
    pool->kept[pool->count++] = o;
    ASAN_POISON_MEMORY_REGION(cede_begin_of(o), cede_length_of(pool->type));
}

/* `type.__new__(type)`, without the empty dict that Cython gives it: a new reference, or NULL with an error set. */
static PyObject *cede_make(PyTypeObject *type) {
    PyObject *arguments = PyTuple_New(0), *o = arguments ? type->tp_new(type, arguments, NULL) : NULL;
    Py_XDECREF(arguments);
    if (o) cede_drop_empty_dict(o);
    return o;
}

/* The same, by copying an object that was never given anything, and is kept for that. (Where None counts who refers to
   it, a copy would not be counted: before 3.12.) */
static PyObject *cede_fresh(PyObject *kind) {
    PyTypeObject *type = (PyTypeObject *)kind;
    cede_pool *pool = cede_pool_of(type);
    PyObject *o;
    if (!pool || !pool->copied) return cede_make(type);
    if (!pool->template) {
        if ((pool->template = cede_make(type)) == NULL) return NULL;
        PyObject_GC_UnTrack(pool->template);
    }
    if (pool->count) {
        o = cede_take_kept(pool);
        ((uintptr_t *)o)[-1] = ((uintptr_t *)o)[-2] = 0;
        memcpy(o, pool->template, type->tp_basicsize);
        _Py_NewReference(o);
        if (!pool->hidden) PyObject_GC_Track(o);
    } else if ((o = cede_alloc(type, 0)) != NULL) {
        memcpy(o + 1, pool->template + 1, type->tp_basicsize - sizeof(PyObject));
    }
    return o;
}

/* Keep the memory of a class's objects from now on, if it is a built-in one and the interpreter is as assumed. If
   `hidden`, the collector does not see them until cede_track. 0, or -1 with an error set. */
static int cede_keep_memory(PyObject *kind, int hidden) {
#ifndef Py_GIL_DISABLED
    PyTypeObject *type = (PyTypeObject *)kind;
    int i = 0, kept, copied;
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) return 0;
    while (i < CEDE_KINDS && cede_pools[i].type) i++;
    if (i == CEDE_KINDS) return 0;
    if ((kept = cede_allows("kept memory", cede_collector_is_known(type))) <= 0) return kept;
    if (hidden && (hidden = cede_allows("hidden handles", cede_can_be_hidden())) < 0) return -1;
    if ((copied = cede_allows("copied objects", cede_none_is_immortal())) < 0) return -1;
    cede_pools[i].type = type;
    cede_pools[i].hidden = hidden;
    cede_pools[i].copied = copied;
    type->tp_alloc = cede_alloc;
    type->tp_free = cede_free;
#else
    (void)kind;
    (void)hidden;
#endif
    return 0;
}

#endif
