# The twin of native.py: the same names and arguments, inlined C bodies.
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <errno.h>
    #include <time.h>
    #include <math.h>
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    /* Cython adds a frame to the traceback for each function that an exception leaves. Ours would stand between the
       user's, and above them, where asyncio's own C leaves none; so only where an exception began it is said. */
    static CYTHON_INLINE int cede_trace(PyFrameObject *frame) {
        PyObject *type, *value, *tb;
        PyErr_Fetch(&type, &value, &tb);
        PyErr_Restore(type, value, tb);
        return tb == NULL ? PyTraceBack_Here(frame) : 0;
    }
    #if !CYTHON_TRACE
    #define PyTraceBack_Here cede_trace
    #endif

    /* The exception that is set, which it takes. */
    static PyObject *cede_raised(void) {
        PyObject *type, *exc, *tb;
        PyErr_Fetch(&type, &exc, &tb);
        PyErr_NormalizeException(&type, &exc, &tb);
        if (tb) PyException_SetTraceback(exc, tb);
        Py_XDECREF(type);
        Py_XDECREF(tb);
        return exc;
    }

    /* The answer of a step; see native.py. A new reference, or NULL with an error set (no memory). */
    static CYTHON_INLINE PyObject *cede_answer(PySendResult outcome, PyObject *value) {
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

    static CYTHON_INLINE PyObject *cede_resume(PyObject *context, PyObject *coro) {
        PyObject *value = NULL;
        PySendResult outcome;
        if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
        outcome = PyIter_Send(coro, Py_None, &value);
        PyContext_Exit(context);
        return cede_answer(outcome, value);
    }

    static PyObject *cede_throw(PyObject *context, PyObject *coro, PyObject *name, PyObject *exc) {
        PyObject *value;
        PySendResult outcome;
        if (PyContext_Enter(context) < 0) return cede_answer(PYGEN_ERROR, NULL);
        value = PyObject_CallMethodOneArg(coro, name, exc);
        PyContext_Exit(context);
        if (value) {
            outcome = PYGEN_NEXT;
        } else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            PyObject *type, *stop, *tb;
            PyErr_Fetch(&type, &stop, &tb);
            PyErr_NormalizeException(&type, &stop, &tb);
            value = Py_NewRef(((PyStopIterationObject *)stop)->value);
            Py_XDECREF(type); Py_XDECREF(stop); Py_XDECREF(tb);
            outcome = PYGEN_RETURN;
        } else {
            outcome = PYGEN_ERROR;
        }
        return cede_answer(outcome, value);
    }

    static PyObject *cede_result_of(PyObject *future, PyObject *name) {
        PyObject *value = PyObject_CallMethodNoArgs(future, name);
        return cede_answer(value ? PYGEN_RETURN : PYGEN_ERROR, value);
    }

    static CYTHON_INLINE PyObject *cede_call(PyObject *context, PyObject *callback, PyObject *args) {
        PyObject *result;
        if (PyContext_Enter(context) < 0) return NULL;
        result = PyObject_Vectorcall(callback, ((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args), NULL);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    /* None, or what was raised. */
    static CYTHON_INLINE PyObject *cede_attempt(PyObject *context, PyObject *callback, PyObject *args) {
        PyObject *result = cede_call(context, callback, args);
        if (result == NULL) return cede_raised();
        Py_DECREF(result);
        return Py_NewRef(Py_None);
    }

    static CYTHON_INLINE PyObject *cede_call_one(PyObject *context, PyObject *callback, PyObject *arg) {
        PyObject *result;
        if (PyContext_Enter(context) < 0) return NULL;
        result = PyObject_CallOneArg(callback, arg);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    /* Copies of the current context that share its variables. What a context says is one immutable map, which setting a
       variable replaces: two contexts with the same map say the same. Where CPython keeps the map is known of the
       versions below; elsewhere each copy is made. The caller holds the global lock. */
    #if !defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x03100000
    #define CEDE_SHARES_CONTEXTS 1
    typedef struct { PyObject_HEAD PyObject *previous, *variables; } cede_context;
    #define cede_variables(context) (((cede_context *)(context))->variables)
    #else
    #define CEDE_SHARES_CONTEXTS 0
    #endif
    static PyObject *cede_last_snapshot = NULL, *cede_last_copy = NULL;

    static CYTHON_INLINE PyObject *cede_snapshot(void) {
    #if CEDE_SHARES_CONTEXTS
        PyObject *old = cede_last_snapshot, *current = PyThreadState_Get()->context;
        if (old && current && cede_variables(old) == cede_variables(current)) return Py_NewRef(old);
        current = PyContext_CopyCurrent();
        old = cede_last_snapshot;
        cede_last_snapshot = Py_XNewRef(current);
        Py_XDECREF(old);
        return current;
    #else
        return PyContext_CopyCurrent();
    #endif
    }

    static CYTHON_INLINE PyObject *cede_private_copy(PyObject *snapshot) {
    #if CEDE_SHARES_CONTEXTS
        PyObject *old = cede_last_copy, *copy;
        if (old && Py_REFCNT(old) == 1 && cede_variables(old) == cede_variables(snapshot)) return Py_NewRef(old);
        copy = PyContext_Copy(snapshot);
        old = cede_last_copy;
        cede_last_copy = Py_XNewRef(copy);
        Py_XDECREF(old);
        return copy;
    #else
        return Py_NewRef(snapshot);
    #endif
    }

    static CYTHON_INLINE void cede_forget_context(PyObject **place) {
        if (*place && PyObject_Size(*place)) Py_CLEAR(*place);
    }
    #define cede_forget_contexts() (cede_forget_context(&cede_last_snapshot), cede_forget_context(&cede_last_copy))

    /* What cannot be added to a float is refused, as it is interpreted. -1.0 with an error set. */
    static CYTHON_INLINE double cede_seconds(PyObject *number) {
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

    static CYTHON_INLINE double cede_monotonic(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }

    #ifndef __NR_epoll_pwait2
    #define __NR_epoll_pwait2 441
    #endif
    static int cede_has_pwait2 = 1;
    #define CEDE_MAX_EVENTS 256

    static int cede_epoll_wait_raw(int fd, struct epoll_event *events, double timeout) {
        if (timeout == 0.0) return epoll_wait(fd, events, CEDE_MAX_EVENTS, 0);
        if (timeout > 0.0 && cede_has_pwait2) {
            struct timespec limit;
            int count;
            double whole = floor(timeout);
            /* Rounded up: a timer is never early. */
            limit.tv_sec = (time_t)whole;
            limit.tv_nsec = (long)ceil((timeout - whole) * 1e9);
            if (limit.tv_nsec >= 1000000000L) { limit.tv_sec += 1; limit.tv_nsec = 0; }
            count = (int)syscall(__NR_epoll_pwait2, fd, events, CEDE_MAX_EVENTS, &limit, NULL, 0);
            if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
            cede_has_pwait2 = 0;
        }
        return epoll_wait(fd, events, CEDE_MAX_EVENTS, timeout < 0.0 ? -1 : (int)ceil(timeout * 1e3));
    }

    /* Number of events, 0 after an interruption whose signal handlers raised nothing, -1 with an error set. */
    static int cede_epoll_wait(int fd, PyObject *buffer, double timeout) {
        struct epoll_event *events = (struct epoll_event *)PyByteArray_AS_STRING(buffer);
        int count, error;
        if (timeout == 0.0) {
            count = cede_epoll_wait_raw(fd, events, timeout);
            error = errno;
        } else {
            Py_BEGIN_ALLOW_THREADS
            count = cede_epoll_wait_raw(fd, events, timeout);
            error = errno;
            Py_END_ALLOW_THREADS
        }
        if (PyErr_CheckSignals() < 0) return -1;
        if (count < 0) {
            if (error == EINTR) return 0;
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
        }
        return count;
    }

    static int cede_epoll_control(int fd, int action, int watched, uint32_t events) {
        struct epoll_event event;
        event.events = events;
        event.data.u64 = (uint64_t)watched;
        if (epoll_ctl(fd, action, watched, &event) == 0) return 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }

    static CYTHON_INLINE PyObject *cede_call_method(
            PyObject *context, PyObject *target, PyObject *name, PyObject *arg) {
        PyObject *result, *args[2];
        if (PyContext_Enter(context) < 0) return NULL;
        args[0] = target;
        args[1] = arg;
        result = PyObject_VectorcallMethod(name, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        return result;
    }

    static CYTHON_INLINE int cede_would_block(void) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    }

    /* A socket may be a blocking one. */
    static CYTHON_INLINE Py_ssize_t cede_get(int fd, char *memory, Py_ssize_t size, int from_socket) {
        return from_socket ? recv(fd, memory, size, MSG_DONTWAIT) : read(fd, memory, size);
    }

    /* A new bytes, b"" at the end of the stream, None if nothing is there yet, NULL with an error set. */
    static PyObject *cede_take_bytes(int fd, PyObject *buffer, Py_ssize_t size, int from_socket) {
        Py_ssize_t count;
        if (size <= PyByteArray_GET_SIZE(buffer)) {
            char *memory = PyByteArray_AS_STRING(buffer);
            count = cede_get(fd, memory, size, from_socket);
            if (count >= 0) return PyBytes_FromStringAndSize(memory, count);
        } else {
            PyObject *data = PyBytes_FromStringAndSize(NULL, size);
            if (data == NULL) return NULL;
            count = cede_get(fd, PyBytes_AS_STRING(data), size, from_socket);
            if (count >= 0) {
                if (count < size) _PyBytes_Resize(&data, count);
                return data;
            }
            Py_DECREF(data);
        }
        if (cede_would_block()) Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }

    #define cede_read(fd, buffer, size) cede_take_bytes(fd, buffer, size, 0)
    #define cede_receive(fd, buffer, size) cede_take_bytes(fd, buffer, size, 1)

    typedef struct { socklen_t size; struct sockaddr_storage name; } cede_address;

    /* inet_ntop goes through sprintf, which takes as long as accepting. */
    static int cede_ipv4_text(const unsigned char *parts, char *text) {
        char *end = text;
        int i;
        for (i = 0; i < 4; i++) {
            unsigned part = parts[i];
            if (i) *end++ = '.';
            if (part > 99) *end++ = '0' + part / 100;
            if (part > 9) *end++ = '0' + part / 10 % 10;
            *end++ = '0' + part % 10;
        }
        return (int)(end - text);
    }

    /* What the socket module says of an address of the internet; Py_None of any other. A new reference. */
    static PyObject *cede_address_tuple(const cede_address *from) {
        char text[INET6_ADDRSTRLEN];
        PyObject *host, *port, *pair;
        const struct sockaddr_in *in = (const struct sockaddr_in *)&from->name;
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&from->name;
        if (from->name.ss_family == AF_INET && from->size == sizeof(*in)) {
            host = PyUnicode_FromStringAndSize(text, cede_ipv4_text((const unsigned char *)&in->sin_addr, text));
            port = PyLong_FromLong(ntohs(in->sin_port));
            pair = host && port ? PyTuple_Pack(2, host, port) : NULL;
            Py_XDECREF(host);
            Py_XDECREF(port);
            return pair;
        }
        if (from->name.ss_family == AF_INET6 && from->size == sizeof(*in6)) {
            if (!inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text))) return PyErr_SetFromErrno(PyExc_OSError);
            return Py_BuildValue("siII", text, (int)ntohs(in6->sin6_port), (unsigned)ntohl(in6->sin6_flowinfo),
                                 (unsigned)in6->sin6_scope_id);
        }
        Py_RETURN_NONE;
    }

    /* (datagram, address), None if there is none. `known` is the tuple of the address in `last`, and given again if the
       datagram comes from there; else `last` gets the new one. */
    static PyObject *cede_receive_from(int fd, PyObject *buffer, Py_ssize_t size, PyObject *last, PyObject *known) {
        cede_address from, *before = (cede_address *)PyByteArray_AS_STRING(last);
        PyObject *data, *address, *pair;
        Py_ssize_t count;
        from.size = sizeof(from.name);
        if (size > PyByteArray_GET_SIZE(buffer)) size = PyByteArray_GET_SIZE(buffer);
        count = recvfrom(fd, PyByteArray_AS_STRING(buffer), size, MSG_DONTWAIT,
                         (struct sockaddr *)&from.name, &from.size);
        if (count < 0) {
            if (cede_would_block()) Py_RETURN_NONE;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        if (known != Py_None && from.size == before->size && memcmp(&from.name, &before->name, from.size) == 0) {
            address = Py_NewRef(known);
        } else {
            address = cede_address_tuple(&from);
            if (address == NULL) return NULL;
            *before = from;
        }
        data = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer), count);
        pair = data ? PyTuple_Pack(2, data, address) : NULL;
        Py_XDECREF(data);
        Py_DECREF(address);
        return pair;
    }

    /* (descriptor, address), None if nobody is waiting, NULL with an error set. */
    static PyObject *cede_accept(int fd) {
        cede_address from;
        PyObject *address, *number, *pair;
        int accepted;
        from.size = sizeof(from.name);
        accepted = accept4(fd, (struct sockaddr *)&from.name, &from.size, SOCK_CLOEXEC);
        if (accepted < 0) {
            if (cede_would_block()) Py_RETURN_NONE;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        address = cede_address_tuple(&from);
        number = address ? PyLong_FromLong(accepted) : NULL;
        pair = number ? PyTuple_Pack(2, number, address) : NULL;
        Py_XDECREF(address);
        Py_XDECREF(number);
        if (pair == NULL) close(accepted);
        return pair;
    }

    /* How much of `data` went to the address in `last`, -1 if the kernel has no room, -2 with an error set. */
    static Py_ssize_t cede_send_to(int fd, PyObject *data, PyObject *last) {
        cede_address *to = (cede_address *)PyByteArray_AS_STRING(last);
        Py_ssize_t count = sendto(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL,
                                  (struct sockaddr *)&to->name, to->size);
        if (count >= 0 || cede_would_block()) return count;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    #define cede_address_buffer() PyByteArray_FromStringAndSize(NULL, sizeof(cede_address))

    static Py_ssize_t cede_send_bytes(int fd, PyObject *data) {
        Py_ssize_t count = send(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) return count;
        if (cede_would_block()) return 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }

    static Py_ssize_t cede_read_into(int fd, PyObject *target) {
        Py_buffer view;
        Py_ssize_t count;
        if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0) return -2;
        count = read(fd, view.buf, view.len);
        if (count < 0 && !cede_would_block()) {
            PyErr_SetFromErrno(PyExc_OSError);
            count = -2;
        }
        PyBuffer_Release(&view);
        return count;
    }

    #define CEDE_MOST_CHUNKS 64
    static Py_ssize_t cede_write(int fd, PyObject *chunks, Py_ssize_t skip, int most) {
        struct iovec parts[CEDE_MOST_CHUNKS];
        Py_ssize_t count, size = PyList_GET_SIZE(chunks);
        if (size == 1) {
            PyObject *chunk = PyList_GET_ITEM(chunks, 0);
            count = write(fd, PyBytes_AS_STRING(chunk) + skip, PyBytes_GET_SIZE(chunk) - skip);
        } else {
            Py_ssize_t i;
            if (size > most) size = most;
            if (size > CEDE_MOST_CHUNKS) size = CEDE_MOST_CHUNKS;
            for (i = 0; i < size; i++) {
                PyObject *chunk = PyList_GET_ITEM(chunks, i);
                parts[i].iov_base = PyBytes_AS_STRING(chunk);
                parts[i].iov_len = PyBytes_GET_SIZE(chunk);
            }
            parts[0].iov_base = (char *)parts[0].iov_base + skip;
            parts[0].iov_len -= skip;
            count = writev(fd, parts, (int)size);
        }
        if (count >= 0 || cede_would_block()) return count;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }

    #if PY_VERSION_HEX >= 0x030E0000
    #define cede_is_unshared(obj) PyUnstable_Object_IsUniquelyReferenced(obj)
    #else
    #define cede_is_unshared(obj) (Py_REFCNT(obj) == 1)
    #endif

    /* Of what is neither bytes nor a bytearray, the None of an object that nobody initialized: nothing. */
    static CYTHON_INLINE const char *cede_memory(PyObject *data, Py_ssize_t *size) {
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

    static CYTHON_INLINE Py_ssize_t cede_find(PyObject *data, PyObject *part, Py_ssize_t start) {
        Py_ssize_t size, part_size;
        const char *memory = cede_memory(data, &size), *part_memory = cede_memory(part, &part_size), *found;
        if (start < 0 || part_size == 0 || size - start < part_size) return -1;
        if (part_size == 1) found = (const char *)memchr(memory + start, part_memory[0], size - start);
        else found = (const char *)memmem(memory + start, size - start, part_memory, part_size);
        return found == NULL ? -1 : found - memory;
    }

    static CYTHON_INLINE PyObject *cede_cut(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
        Py_ssize_t size;
        const char *memory = cede_memory(data, &size);
        if (end > size) end = size;
        if (start < 0) start = 0;
        return PyBytes_FromStringAndSize(memory + start, end > start ? end - start : 0);
    }

    static void cede_set_nodelay(int fd) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    /* An empty tuple is one for all, and never tracked. */
    static CYTHON_INLINE void cede_track(PyObject *o) {
        if (!PyObject_IS_GC(o) || PyObject_GC_IsTracked(o)) return;
        if (PyTuple_CheckExact(o) && PyTuple_GET_SIZE(o) == 0) return;
        PyObject_GC_Track(o);
    }

    /* The memory of up to CEDE_KEPT dead objects of a class, where freeing puts it and making takes it from. The
       first two words before a tracked object are the collector's; zero means: untracked, not finalized. */
    #define CEDE_KEPT 1024
    #define CEDE_KINDS 8
    typedef struct { PyTypeObject *type; int hidden; int count; void *kept[CEDE_KEPT]; } cede_pool;
    static cede_pool cede_pools[CEDE_KINDS];

    static CYTHON_INLINE cede_pool *cede_pool_of(PyTypeObject *type) {
        int i;
        for (i = 0; i < CEDE_KINDS && cede_pools[i].type; i++) if (cede_pools[i].type == type) return &cede_pools[i];
        return NULL;
    }
    static PyObject *cede_alloc(PyTypeObject *type, Py_ssize_t items) {
        cede_pool *pool = cede_pool_of(type);
        PyObject *o;
        if (!pool) return PyType_GenericAlloc(type, items);
        if (pool->count == 0) {
            o = PyType_GenericAlloc(type, items);
            if (o && pool->hidden) PyObject_GC_UnTrack(o);
            return o;
        }
        o = (PyObject *)pool->kept[--pool->count];
        memset((uintptr_t *)o - 2, 0, type->tp_basicsize + 2 * sizeof(uintptr_t));
        PyObject_Init(o, type);
        if (!pool->hidden) PyObject_GC_Track(o);
        return o;
    }
    static void cede_free(void *o) {
        cede_pool *pool = cede_pool_of(Py_TYPE((PyObject *)o));
        if (pool && pool->count < CEDE_KEPT) pool->kept[pool->count++] = o;
        else PyObject_GC_Del(o);
    }
    static void cede_keep_memory(PyObject *kind, int hidden) {
    #ifndef Py_GIL_DISABLED
        PyTypeObject *type = (PyTypeObject *)kind;
        int i = 0;
        if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) return;
        while (i < CEDE_KINDS && cede_pools[i].type) i++;
        if (i == CEDE_KINDS) return;
        cede_pools[i].type = type;
        cede_pools[i].hidden = hidden;
        type->tp_alloc = cede_alloc;
        type->tp_free = cede_free;
    #endif
    }

    static CYTHON_INLINE void cede_drop_empty_dict(PyObject *o) {
        PyObject **dict = (PyObject **)((char *)o + Py_TYPE(o)->tp_dictoffset);
        if (Py_TYPE(o)->tp_dictoffset > 0 && *dict && PyDict_GET_SIZE(*dict) == 0) Py_CLEAR(*dict);
    }

    static CYTHON_INLINE PyObject *cede_take(PyObject *list, Py_ssize_t i) {
        PyObject *o = PyList_GET_ITEM(list, i);
        PyList_SET_ITEM(list, i, Py_NewRef(Py_None));
        return o;
    }

    /* One that grew large once gives its memory back. */
    static CYTHON_INLINE void cede_clear(PyObject *list) {
        Py_ssize_t i, size = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : 0;
        if (size == 0) return;
        if (size > 0x10000) {
            PyList_SetSlice(list, 0, size, NULL);
            return;
        }
        Py_SET_SIZE((PyVarObject *)list, 0);
        for (i = 0; i < size; i++) Py_DECREF(((PyListObject *)list)->ob_item[i]);
    }
    #define cede_read_buffer(size) PyByteArray_FromStringAndSize(NULL, size)
    #define cede_event_at(buffer, i) (((struct epoll_event *)PyByteArray_AS_STRING(buffer))[i])
    #define cede_event_fd(buffer, i) (cede_event_at(buffer, i).data.fd)
    #define cede_event_bits(buffer, i) (cede_event_at(buffer, i).events)
    #define cede_event_buffer() PyByteArray_FromStringAndSize(NULL, CEDE_MAX_EVENTS * sizeof(struct epoll_event))

    static unsigned long cede_saved_slack = 50000;
    static void cede_precise_waits(int enable) {
        if (enable) {
            int slack = prctl(PR_GET_TIMERSLACK);
            if (slack > 1) cede_saved_slack = (unsigned long)slack;
            prctl(PR_SET_TIMERSLACK, 1UL);
        } else {
            prctl(PR_SET_TIMERSLACK, cede_saved_slack);
        }
    }
    """
    object cede_resume(object context, object coro)
    object cede_throw(object context, object coro, object name, object exc)
    object cede_result_of(object future, object name)
    object cede_call(object context, object callback, object args)
    object cede_attempt(object context, object callback, object args)
    object cede_call_one(object context, object callback, object arg)
    object cede_call_method(object context, object target, object name, object arg)
    object cede_read(int fd, object buffer, Py_ssize_t size)
    object cede_receive(int fd, object buffer, Py_ssize_t size)
    Py_ssize_t cede_send_bytes(int fd, object data) except -1
    object cede_receive_from(int fd, object buffer, Py_ssize_t size, object last, object known)
    Py_ssize_t cede_send_to(int fd, object data, object last) except -2
    object cede_address_buffer()
    object cede_accept(int fd)
    Py_ssize_t cede_read_into(int fd, object target) except -2
    Py_ssize_t cede_write(int fd, object chunks, Py_ssize_t skip, int most) except -2
    int cede_is_unshared(object obj)
    Py_ssize_t cede_find(object data, object part, Py_ssize_t start)
    object cede_cut(object data, Py_ssize_t start, Py_ssize_t end)
    void cede_set_nodelay(int fd)
    object cede_read_buffer(Py_ssize_t size)
    void cede_track(object o)
    Py_ssize_t Py_REFCNT(object o)
    object cede_snapshot()
    object cede_private_copy(object snapshot)
    void cede_forget_contexts()
    void cede_keep_memory(object kind, int hidden)
    void cede_drop_empty_dict(object o)
    object cede_take(list entries, Py_ssize_t index)
    void cede_clear(list entries)
    int PyObject_IS_GC(object o)
    void PyObject_GC_UnTrack(object o)
    unsigned long PyThread_get_thread_ident()
    object PyContext_CopyCurrent()
    double cede_monotonic() nogil
    double cede_seconds(object number) except? -1.0
    int cede_epoll_wait(int fd, object buffer, double timeout) except -1
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    int cede_epoll_control(int fd, int action, int watched, uint32_t events) except -1
    int cede_event_fd(object buffer, int i)
    uint32_t cede_event_bits(object buffer, int i)
    object cede_event_buffer()
    void cede_precise_waits(int enable)


cdef inline object resume(object context, object coro):
    return cede_resume(context, coro)

cdef inline object throw(object context, object coro, object exc):
    return cede_throw(context, coro, "throw", exc)

cdef inline object result_of(object future):
    return cede_result_of(future, "result")

cdef inline object call(object context, object callback, object args):
    return cede_call(context, callback, args)

cdef inline object attempt(object context, object callback, object args):
    return cede_attempt(context, callback, args)

cdef inline object call_one(object context, object callback, object arg):
    return cede_call_one(context, callback, arg)

cdef inline object copy_context():
    return PyContext_CopyCurrent()

cdef inline object snapshot():
    return cede_snapshot()

cdef inline object private_copy(object snapshot):
    return cede_private_copy(snapshot)

cdef inline int forget_contexts() except -1:
    cede_forget_contexts()
    return 0

cdef inline double monotonic():
    return cede_monotonic()

cdef inline double seconds(object number) except? -1.0:
    return cede_seconds(number)

cdef inline bint is_unshared(object obj) noexcept:
    return cede_is_unshared(obj)

cdef inline object event_buffer():
    return cede_event_buffer()

cdef inline int precise_waits(bint enable) except -1:
    cede_precise_waits(enable)
    return 0

cdef inline int epoll_add(object epoll, int fd, int watched, uint32_t events) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_ADD, watched, events)

cdef inline int epoll_modify(object epoll, int fd, int watched, uint32_t events) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_MOD, watched, events)

cdef inline int epoll_remove(object epoll, int fd, int watched) except -1:
    return cede_epoll_control(fd, EPOLL_CTL_DEL, watched, 0)

cdef inline int epoll_wait(object epoll, int fd, object buffer, double timeout) except -1:
    return cede_epoll_wait(fd, buffer, timeout)

cdef inline int event_fd(object buffer, int index) except -1:
    return cede_event_fd(buffer, index)

cdef inline uint32_t event_bits(object buffer, int index) noexcept:
    return cede_event_bits(buffer, index)

cdef inline object call_method(object context, object target, object name, object arg):
    return cede_call_method(context, target, name, arg)

cdef inline object read_buffer(Py_ssize_t size):
    return cede_read_buffer(size)

cdef inline object read(int fd, object buffer, Py_ssize_t size):
    return cede_read(fd, buffer, size)

cdef inline object receive(object sock, int fd, object buffer, Py_ssize_t size):
    return cede_receive(fd, buffer, size)

cdef inline Py_ssize_t send_bytes(object sock, int fd, object data) except -1:
    return cede_send_bytes(fd, data)

cdef inline object accept(object sock, int fd):
    return cede_accept(fd)

cdef inline object address_buffer():
    return cede_address_buffer()

cdef inline object receive_from(object sock, int fd, object buffer, Py_ssize_t size, object last, object known):
    return cede_receive_from(fd, buffer, size, last, known)

cdef inline Py_ssize_t send_to(object sock, int fd, object data, object last, object known) except -2:
    return cede_send_to(fd, data, last)

cdef inline Py_ssize_t read_into(int fd, object buffer) except -2:
    return cede_read_into(fd, buffer)

cdef inline Py_ssize_t write(int fd, object chunks, Py_ssize_t skip, int most) except -2:
    return cede_write(fd, chunks, skip, most)

cdef inline Py_ssize_t find(object data, bytes part, Py_ssize_t start) noexcept:
    return cede_find(data, part, start)

cdef inline object cut(object data, Py_ssize_t start, Py_ssize_t end):
    return cede_cut(data, start, end)

cdef inline int set_nodelay(object sock, int fd) except -1:
    cede_set_nodelay(fd)
    return 0

cdef inline int untrack(object obj) except -1:
    if PyObject_IS_GC(obj):
        PyObject_GC_UnTrack(obj)
    return 0

cdef inline int track(object obj) except -1:
    cede_track(obj)
    return 0

cdef inline bint is_shared(object obj) noexcept:
    return Py_REFCNT(obj) > 1

cdef inline int keep_memory(object kind, bint hidden=False) except -1:
    cede_keep_memory(kind, hidden)
    return 0

cdef inline int drop_empty_dict(object obj) except -1:
    cede_drop_empty_dict(obj)
    return 0

cdef inline int declare(object kind, str name) except -1:
    return 0

cdef inline object take(list entries, Py_ssize_t index):
    return cede_take(entries, index)

cdef inline int clear(list entries) except -1:
    cede_clear(entries)
    return 0

cdef inline unsigned long get_ident() noexcept:
    return PyThread_get_thread_ident()
