"""BLAS: linear algebra that keeps to one thread.

A worker runs many activities at once; a pool of threads for each product of small matrices takes more than it gives, on every core.
OpenBLAS reads how many it may use once, when it is loaded. So what loads it is imported inside `single_threaded`, which sets the
variables for that moment alone: what the process's owner has set stands, a numpy that is loaded already is left as it is, and no
child inherits anything.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def single_threaded() -> Generator[None]:
    """What is imported inside uses one thread, unless the environment says how many."""
    mine = [name for name in VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(mine, "1"))
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)
