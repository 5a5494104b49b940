"""Memory that is freed stays with the process, since getting it anew can cost more than the work.

A network frees and allocates hundreds of megabytes a step. glibc gives such blocks back to the
system at once, and the system hands out empty pages again, one fault at a time.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""What glibc's `mallopt` calls the two settings (malloc.h)."""
KEPT = 1 << 30
"""Bytes up to which a block comes from, and goes back to, the memory of the process."""
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""The same two settings, for processes that this one starts."""
OTHERS = ("jemalloc", "tcmalloc", "mimalloc")
"""Allocators that a user may have preloaded; they keep freed memory themselves."""


def keep_freed_memory() -> None:
    """Keep freed blocks in this process and in those that it starts; does nothing without glibc.

    What the user has set stays. docs/guide/speed.md says what it gives.
    """
    preloaded = os.environ.get("LD_PRELOAD", "")
    if any(name in os.environ for name in VARIABLES) or any(one in preloaded for one in OTHERS):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(M_MMAP_THRESHOLD, KEPT)
    mallopt(M_TRIM_THRESHOLD, KEPT)
    os.environ.update(dict.fromkeys(VARIABLES, str(KEPT)))
