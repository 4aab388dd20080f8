"""A disk that is full."""

import contextlib
import resource


@contextlib.contextmanager
def full_disk(free: int):
    """Files can grow to `free` bytes and no further: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
