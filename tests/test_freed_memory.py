"""Freed memory stays with the process."""

import os
import subprocess
import sys

import pytest

from lcnet.freed_memory import VARIABLES

FAULTS = """
import resource, sys
import numpy as np
from contextlib import ExitStack
from lcnet.freed_memory import freed_memory_given_back, keep_freed_memory
stack = ExitStack()
if sys.argv[1] != "leave":
    keep_freed_memory()
if sys.argv[1] != "keep":
    stack.enter_context(freed_memory_given_back())
if sys.argv[1] == "again":
    stack.close()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(40_000_000, dtype=np.uint8)  # 40 MB, about 9,800 pages
before = faults()
for _ in range(10):
    np.ones(40_000_000, dtype=np.uint8)
print(faults() - before)
"""


def faults(how: str, **environment: str) -> int:
    own = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    # numpy asks the system for huge pages otherwise, of which a fault brings 512.
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        capture_output=True,
        text=True,
        check=True,
        env={**own, "NUMPY_MADVISE_HUGEPAGE": "0", **environment},
    )
    return int(done.stdout)


@pytest.mark.skipif(
    not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names,
    reason="only glibc has mallopt",
)
def test_memory_is_not_fetched_again_and_again():
    assert faults("leave") > 50_000
    assert faults("keep") < 5_000
    assert faults("given back") > 50_000
    assert faults("again") < 5_000


def test_what_a_user_has_set_stays():
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="100000") > 50_000
