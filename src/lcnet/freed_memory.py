"""Memory that is freed stays with the process, since getting it anew can cost more than the work.

A network frees and allocates hundreds of megabytes a step. glibc gives such blocks back to the
system at once, and the system hands out empty pages again, one fault at a time.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""What glibc's `mallopt` calls the two settings (malloc.h)."""
KEPT = 1 << 30
"""Bytes up to which a block comes from, and goes back to, the memory of the process."""
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""The same two settings, for processes that this one starts."""
LARGE = 32 << 20
"""Bytes from which on a block is given back where freed memory is not kept, as glibc does."""
OTHERS = ("jemalloc", "tcmalloc", "mimalloc")
"""Allocators that a user may have preloaded; they keep freed memory themselves."""


def keep_freed_memory() -> None:
    """Keep freed blocks in this process and in those that it starts; does nothing without glibc.

    What the user has set stays. docs/guide/speed.md says what it gives.
    """
    if any(name in os.environ for name in VARIABLES) or not _set(KEPT):
        return
    os.environ.update(dict.fromkeys(VARIABLES, str(KEPT)))


@contextmanager
def freed_memory_given_back() -> Iterator[None]:
    """Give large blocks back as long as the context lasts, though freed memory is kept elsewhere.

    For work on a few large arrays without a network: holes between them would add up. What the user
    has set stays.
    """
    is_kept = all(os.environ.get(name) == str(KEPT) for name in VARIABLES) and _set(LARGE)
    try:
        yield
    finally:
        if is_kept:
            _set(KEPT)


def _set(size: int) -> bool:
    """Keep blocks up to a size; whether it is done, which only glibc does."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    if any(one in preloaded for one in OTHERS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    mallopt(M_MMAP_THRESHOLD, size)
    mallopt(M_TRIM_THRESHOLD, size)
    return True
