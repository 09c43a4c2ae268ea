/* What the watcher of loops does without Python's lock: see sentry.py. */

#ifndef CEDE_SENTRY_H
#define CEDE_SENTRY_H

#include <Python.h>

#include "clock.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

typedef struct {
    const uint64_t *looks; /* grows; odd while the loop waits in its poller */
    int file;              /* the thread's schedstat, or -1 */
    uint64_t seen;
    double since; /* when `seen` was first seen */
    unsigned long long on_processor, waited;
} cede_watched;

/* Note what is seen of a loop at `now`: how often it looked, and what the kernel says of its thread, if it does. */
static void cede_note(cede_watched *loop, uint64_t looks, double now) {
    char text[100];
    ssize_t size = loop->file < 0 ? 0 : pread(loop->file, text, sizeof text - 1, 0);
    loop->seen = looks;
    loop->since = now;
    if (size > 0) {
        text[size] = 0;
        if (sscanf(text, "%llu %llu", &loop->on_processor, &loop->waited) != 2) loop->on_processor = loop->waited = 0;
    }
}

/* Look at the loops every `interval` seconds: the index of one that did not look for `threshold` seconds; -1 if after
   `patience` seconds none comes near that. It never fails, and needs no lock. */
static Py_ssize_t cede_wait_for_stall(cede_watched *loops, Py_ssize_t count, double threshold, double interval,
                                      double patience) {
    double begun = cede_monotonic();
    struct timespec pause = {(time_t)interval, (long)((interval - (double)(time_t)interval) * 1e9)};
    for (Py_ssize_t index = 0; index < count; index++)
        cede_note(&loops[index], __atomic_load_n(loops[index].looks, __ATOMIC_RELAXED), begun);
    for (;;) {
        int suspicious = 0;
        nanosleep(&pause, NULL);
        double now = cede_monotonic();
        for (Py_ssize_t index = 0; index < count; index++) {
            uint64_t looks = __atomic_load_n(loops[index].looks, __ATOMIC_RELAXED);
            if (looks & 1 || looks != loops[index].seen) cede_note(&loops[index], looks, now);
            else if (now - loops[index].since >= threshold) return index;
            else suspicious = 1;
        }
        if (!suspicious && now - begun >= patience) return -1;
    }
}

#endif
