"""TensorFlow's messages on stderr when it loads: commands show those that the user can act on.

On a machine without a GPU, TensorFlow writes remarks about its build and an error ("failed call to cuInit"); these are
hidden. On a machine with a GPU that TensorFlow cannot use, a warning says so: the work then takes many times as long.
When the user sets `TF_CPP_MIN_LOG_LEVEL`, TensorFlow's messages appear unchanged.
"""

import faulthandler
import os
import re
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"  # 0 shows all messages; 1 hides remarks, 2 also warnings, 3 also errors
# TensorFlow 2.21 writes these before it reads the variable.
_REMARK = re.compile(rb"WARNING: All log messages before absl::|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\]")

_is_quiet = False


def hide_start_up_messages() -> None:
    """Sets `TF_CPP_MIN_LOG_LEVEL`, unless it is set. Call it before TensorFlow is imported.

    Errors are hidden on a machine without a GPU only. An error in an operation is also a Python exception.
    """
    global _is_quiet
    if VARIABLE not in os.environ:
        os.environ[VARIABLE], _is_quiet = "2" if gpu_devices() else "3", True


def gpu_devices(dev: Path = Path("/dev")) -> list[Path]:
    """The device files of this machine's NVIDIA GPUs; ``/dev/dxg`` in the Windows Subsystem for Linux."""
    return [*sorted(dev.glob("nvidia[0-9]*")), *dev.glob("dxg")]


def load_tensorflow() -> None:
    """Imports TensorFlow; prints one line where the machine has a GPU that TensorFlow does not find.

    The import takes seconds, so a command first checks its arguments.
    """
    with _without_remarks() if _is_quiet else nullcontext():
        import tensorflow as tf

    devices = gpu_devices()
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")  # by the user
    if devices and not is_hidden and not tf.config.list_physical_devices("GPU"):
        print(
            f"warning: this machine has a GPU ({devices[0]}), but TensorFlow cannot use it and runs on the CPU; "
            f"{VARIABLE}=0 shows why; pip install 'tensorflow[and-cuda]' installs the CUDA libraries",
            file=sys.stderr,
        )


@contextmanager
def _without_remarks():
    """Holds the output of libraries to stderr back until the block ends, and drops TensorFlow's remarks.

    Python reports a crash within the block at once.
    """
    stderr = os.dup(2)
    watches = not faulthandler.is_enabled()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        if watches:
            faulthandler.enable(stderr)
        try:
            yield
        finally:
            if watches:
                faulthandler.disable()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not _REMARK.match(line)))
