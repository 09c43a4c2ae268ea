/* What the time is. */
#ifndef CEDE_CLOCK_H
#define CEDE_CLOCK_H

#include <time.h>

#ifdef CLOCK_UPTIME_RAW
#define CEDE_CLOCK CLOCK_UPTIME_RAW /* Apple's; what time.monotonic reads there */
#else
#define CEDE_CLOCK CLOCK_MONOTONIC
#endif

/* Seconds, as time.monotonic() gives them. */
static inline double cede_monotonic(void) {
    struct timespec now;
    clock_gettime(CEDE_CLOCK, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
