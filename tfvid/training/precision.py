"""Which number format the layers compute in. Variables, losses and logits are float32 in any case."""

from pathlib import Path

import tensorflow as tf

CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def policy(mixed_precision: bool | str) -> str:
    """The Keras dtype policy for ``train.mixed_precision``: "mixed_bfloat16" or "float32".

    Args:
      mixed_precision: True, False, or "auto": bfloat16 where the GPU, or without one the processor, has it.
    """
    wanted = has_bfloat16() if mixed_precision == "auto" else mixed_precision
    return "mixed_bfloat16" if wanted else "float32"


def has_bfloat16() -> bool:
    """Whether every GPU (compute capability 8 and up), or without one the processor, computes in bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    return bool(CPU_FLAGS & cpu_flags())


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The processor's feature flags; none where the system does not list them."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
