"""What compiled code does in C, where numbers of 64 bits wrap around by themselves."""

_SCALE = 2.0**-53
_MASK = 2**64 - 1


def even(key: int, index: int) -> float:
    """Return the number of [0, 1) that belongs to a key of 64 bits and an index."""
    # The steps of SplitMix64, a generator whose neighbours have nothing in common.
    x = (key + index * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) * _SCALE
