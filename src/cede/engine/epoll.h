/* Waiting with epoll, to the nanosecond where the kernel can; and, where there is no epoll, what refuses to. */
#ifndef CEDE_EPOLL_H
#define CEDE_EPOLL_H

#include "transfers.h"

#ifdef __linux__
#include <math.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifdef __linux__
#define CEDE_HAS_EPOLL 1
#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441
#endif
#define CEDE_MAX_EVENTS 256
static int cede_has_pwait2 = 1; /* until the kernel says otherwise */

/* As epoll_wait, but `timeout` is seconds; below zero: for ever. */
static int cede_epoll_wait_raw(int fd, struct epoll_event *events, double timeout) {
    if (timeout == 0.0) return epoll_wait(fd, events, CEDE_MAX_EVENTS, 0);
    if (timeout > 0.0 && cede_has_pwait2) {
        struct timespec limit;
        int count;
        double whole = floor(timeout);
        /* Rounded up: a timer is never early. */
        limit.tv_sec = (time_t)whole;
        limit.tv_nsec = (long)ceil((timeout - whole) * 1e9);
        if (limit.tv_nsec >= 1000000000L) {
            limit.tv_sec += 1;
            limit.tv_nsec = 0;
        }
        count = (int)syscall(__NR_epoll_pwait2, fd, events, CEDE_MAX_EVENTS, &limit, NULL, 0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
        cede_has_pwait2 = 0;
    }
    return epoll_wait(fd, events, CEDE_MAX_EVENTS, timeout < 0.0 ? -1 : (int)ceil(timeout * 1e3));
}

/* Wait up to `timeout` seconds, without the global lock, and fill `buffer`: the number of events, 0 after an
   interruption whose signal handlers raised nothing, -1 with an error set. */
static int cede_epoll_wait(int fd, PyObject *buffer, double timeout) {
    struct epoll_event *events;
    int count, error;
    if (!cede_is_memory(buffer)) return -1;
    events = (struct epoll_event *)PyByteArray_AS_STRING(buffer);
    if (timeout == 0.0) {
        count = cede_epoll_wait_raw(fd, events, timeout);
        error = errno;
    } else {
        Py_BEGIN_ALLOW_THREADS;
        count = cede_epoll_wait_raw(fd, events, timeout);
        error = errno;
        Py_END_ALLOW_THREADS;
    }
    if (PyErr_CheckSignals() < 0) return -1;
    if (count < 0) {
        if (error == EINTR) return 0;
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return count;
}

/* epoll_ctl for the descriptor `watched`, which its events carry: 0, or -1 with an error set. */
static int cede_epoll_control(int fd, int action, int watched, uint32_t events) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = (uint64_t)watched;
    if (epoll_ctl(fd, action, watched, &event) == 0) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* A buffer for cede_epoll_wait, and what stands in it: `i` is below the number of events. */
#define cede_event_buffer() PyByteArray_FromStringAndSize(NULL, CEDE_MAX_EVENTS * sizeof(struct epoll_event))
#define cede_event_at(buffer, i) (((struct epoll_event *)PyByteArray_AS_STRING(buffer))[i])
#define cede_event_fd(buffer, i) (cede_event_at(buffer, i).data.fd)
#define cede_event_bits(buffer, i) (cede_event_at(buffer, i).events)

/* Let the kernel wake this thread within a nanosecond of its deadlines, or as it was before. */
static _Thread_local unsigned long cede_saved_slack = 50000; /* the kernel's own default */
static void cede_precise_waits(int enable) {
    if (enable) {
        int slack = prctl(PR_GET_TIMERSLACK);
        if (slack > 1) cede_saved_slack = (unsigned long)slack;
        prctl(PR_SET_TIMERSLACK, 1UL);
    } else {
        prctl(PR_SET_TIMERSLACK, cede_saved_slack);
    }
}
#else
/* EpollPoller is compiled here too, and refuses to be imported. */
#define CEDE_HAS_EPOLL 0
/* -1, with the error set that says so. */
static int cede_no_epoll(void) {
    errno = ENOSYS;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}
#define EPOLL_CTL_ADD 0
#define EPOLL_CTL_MOD 0
#define EPOLL_CTL_DEL 0
#define cede_epoll_wait(fd, buffer, timeout) ((void)(fd), (void)(buffer), (void)(timeout), cede_no_epoll())
#define cede_epoll_control(fd, action, watched, events)                                                                \
    ((void)(fd), (void)(action), (void)(watched), (void)(events), cede_no_epoll())
#define cede_event_buffer() PyByteArray_FromStringAndSize(NULL, 0)
#define cede_event_fd(buffer, i) ((void)(buffer), (void)(i), -1)
#define cede_event_bits(buffer, i) ((void)(buffer), (void)(i), 0)
#define cede_precise_waits(enable) ((void)(enable))
#endif

#endif
