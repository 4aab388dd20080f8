"""A disk that is full, or cannot be written."""

import contextlib
import resource
import subprocess

import pytest


@contextlib.contextmanager
def full_disk(free: int):
    """Files can grow to `free` bytes and no further: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def small_disk(folder, size: int):
    """A file system of `size` bytes in memory, mounted at `folder`; yields a function that mounts it anew.

    Its argument is an option of mount: ``"size=9m"``, ``"ro"``. Only root may do this: the test is skipped elsewhere.
    """
    folder.mkdir(exist_ok=True)

    def mount(options: str, *more):
        done = subprocess.run(["mount", *more, "-o", options, str(folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")

    mount(f"size={size}", "-t", "tmpfs", "tmpfs")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
