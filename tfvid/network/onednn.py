"""Switches on oneDNN, TensorFlow's fast kernels for x86 CPUs, before TensorFlow loads.

TensorFlow itself switches them on only on CPUs with AVX-512 VNNI, AVX-VNNI or similar instructions. On other CPUs, as
most laptops have, a forward pass of I3D takes twice as long without oneDNN, and a training step five times as long
(docs/performance.md). TensorFlow reads the variable once, when it loads, so this module must not import TensorFlow.
"""

import os
import platform
import sys
import warnings
from pathlib import Path

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def switch_on():
    """Sets `TF_ENABLE_ONEDNN_OPTS=1`, unless the variable is set.

    If TensorFlow is loaded already and runs without oneDNN, it warns instead, once.
    """
    if VARIABLE in os.environ:
        return
    if "tensorflow" not in sys.modules:
        os.environ[VARIABLE] = "1"
    elif is_on() is False:
        warnings.warn(
            "TensorFlow was imported before tfvid and runs without oneDNN: explanations and training take 2 to 5 times "
            f"as long on this CPU. Import tfvid first, or set {VARIABLE}=1 before Python starts; {VARIABLE}=0 hides "
            "this message.",
            RuntimeWarning,
            stacklevel=3,
        )


def is_on() -> bool | None:
    """Returns whether TensorFlow uses oneDNN; None if TensorFlow does not report it, e.g. on other CPUs than x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from tfvid.network.private_api import uses_onednn  # here, since it loads TensorFlow

    return uses_onednn()


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Returns the CPU's instruction sets by their Linux names, such as "avx2"; empty if the file does not exist."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
# A variable may limit oneDNN to an instruction set. The names of those with bfloat16 contain one of these.
BFLOAT16_LIMITS = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")


def has_bfloat16() -> bool:
    """Returns whether this machine computes in bfloat16: all its GPUs, or, without a GPU, the CPU by oneDNN.

    On other machines TensorFlow emulates bfloat16, which is slower than float32, or fails. GPUs compute in bfloat16
    from compute capability 8 on. If `cpu_flags` is empty, as on Windows and macOS, the result is False.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    limit = (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL").upper()
    return bool(is_on() and BFLOAT16_FLAGS & cpu_flags() and any(name in limit for name in BFLOAT16_LIMITS))
