/* The steps of SplitMix64, a generator whose neighbours have nothing in common. */
#ifndef CEDE_MIXING_H
#define CEDE_MIXING_H

#include <stdint.h>

/* The number of [0, 1) that belongs to a key and an index. */
static inline double cede_even(uint64_t key, uint64_t index) {
    uint64_t x = key + index * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

#endif
