"""How the C library keeps freed memory, which decides what a step's buffers cost.

XLA asks for a step's buffers anew each step. glibc gives blocks of that size back to the system at
once, and the system hands them out again page by page, zeroed, which costs a step on a CPU
thousands of page faults. Only the command changes that: importing or calling the library changes
nothing.
"""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Makes glibc keep freed blocks for later use; returns whether it took the settings."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _MOST))
