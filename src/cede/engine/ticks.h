/* The quickest clock there is. What a tick is worth is seen by two readings of it and of another clock. */
#ifndef CEDE_TICKS_H
#define CEDE_TICKS_H

#include "clock.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of the clock that does not jump. */
static inline uint64_t cede_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CEDE_CLOCK, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#if defined(__x86_64__) && defined(__linux__)
/* The processor's counter is the same on all cores, and steady, where the kernel itself keeps time by it. */
static int cede_counter_is_clock(void) {
    char name[4] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    ssize_t size;
    if (fd < 0) return 0;
    size = read(fd, name, sizeof name);
    close(fd);
    return size == 4 && memcmp(name, "tsc\n", 4) == 0;
}
static int cede_counter = -1; /* 1: the processor's counter; 0: the system's clock; -1: nobody has asked yet */
static inline uint64_t cede_ticks(void) {
    if (cede_counter < 0) cede_counter = cede_counter_is_clock();
    return cede_counter ? __builtin_ia32_rdtsc() : cede_nanoseconds();
}
#elif defined(__aarch64__)
static inline uint64_t cede_ticks(void) {
    uint64_t ticks;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
static inline uint64_t cede_ticks(void) {
    return cede_nanoseconds();
}
#endif

/* How many bits a number has; 0 has none. */
static inline int cede_bits(uint64_t number) {
    return number ? 64 - __builtin_clzll(number) : 0;
}

#endif
