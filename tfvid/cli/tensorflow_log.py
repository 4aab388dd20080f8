"""What TensorFlow writes to stderr when it loads: only what the user of a command can act on is shown.

Without a GPU, TensorFlow writes remarks about its build and an error ("failed call to cuInit"). Where there is a GPU
that TensorFlow cannot use, the user must know: the same work then takes many times as long. Whoever sets
`TF_CPP_MIN_LOG_LEVEL` gets TensorFlow's messages as they are.
"""

import faulthandler
import os
import re
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"  # 0 shows all messages, 1 hides remarks, 2 warnings too, 3 errors too
# TensorFlow 2.21 writes these before it looks at the variable.
_REMARK = re.compile(rb"WARNING: All log messages before absl::|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\]")

_is_quiet = False


def hide_start_up_messages() -> None:
    """Sets `TF_CPP_MIN_LOG_LEVEL`, unless it is set; call it before TensorFlow is imported.

    Errors are hidden only where the machine has no GPU: an error in an operation is a Python exception as well.
    """
    global _is_quiet
    if VARIABLE not in os.environ:
        os.environ[VARIABLE], _is_quiet = "2" if gpu_devices() else "3", True


def gpu_devices(dev: Path = Path("/dev")) -> list[Path]:
    """The device files of NVIDIA GPUs on this machine; in the Windows Subsystem for Linux, `/dev/dxg`."""
    return [*sorted(dev.glob("nvidia[0-9]*")), *dev.glob("dxg")]


def load_tensorflow() -> None:
    """Imports TensorFlow, and prints one line where the machine has a GPU that TensorFlow does not find.

    A command calls it when its arguments are known to be right, since the import takes seconds.
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
    """What libraries write to stderr within the block is written when it ends, without TensorFlow's remarks.

    A crash within the block is reported at once, by Python.
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
