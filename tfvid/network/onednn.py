"""oneDNN, TensorFlow's fast kernels for x86 CPUs: switched on before TensorFlow loads.

TensorFlow switches them on by itself only where the CPU has AVX-512 VNNI, AVX-VNNI or the like. Elsewhere, on most
laptops, a forward pass of I3D takes twice as long without them and a training step five times (docs/performance.md).
TensorFlow reads the variable once, when it loads. This module must not import TensorFlow.
"""

import os
import platform
import sys
import warnings
from pathlib import Path

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def switch_on():
    """Sets `TF_ENABLE_ONEDNN_OPTS=1`, unless the variable is set.

    Where TensorFlow is loaded already and runs without oneDNN, it warns instead, once.
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
    """Whether the TensorFlow that is loaded uses oneDNN; None where it does not tell, as on other CPUs than x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from tfvid.network.private_api import uses_onednn  # here, since it loads TensorFlow

    return uses_onednn()


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The CPU's instruction sets by Linux's names, such as "avx2"; empty where there is no such file."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
# oneDNN's names of instruction sets that its variables may limit it to, and that have bfloat16, hold one of these.
BFLOAT16_LIMITS = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")


def has_bfloat16() -> bool:
    """Whether this machine computes in bfloat16: all GPUs do, or without one the CPU, through oneDNN.

    Elsewhere TensorFlow emulates bfloat16, which is slower than float32, or fails. GPUs do from compute capability 8
    on. Where `cpu_flags` is empty, as on Windows and macOS, the answer is no.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    limit = (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL").upper()
    return bool(is_on() and BFLOAT16_FLAGS & cpu_flags() and any(name in limit for name in BFLOAT16_LIMITS))
