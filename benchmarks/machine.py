"""What a benchmark ran on, for the head of its output."""

import os
import platform
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfvid
from tfvid.network.onednn import cpu_flags


def describe_machine() -> str:
    """Processor, devices, load and versions, a line each: what a figure means little without."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.replace("\t", "").splitlines() if ":" in line)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in cpu_flags()]
    devices = tf.config.list_physical_devices("GPU")
    return "\n".join(
        [
            f"machine     {fields.get('model name', platform.processor()).strip()}, {os.cpu_count()} cores",
            f"instructions {' '.join(flags) or 'not known'}",
            f"devices     {', '.join(device.name for device in devices) or 'CPU only'}",
            f"load        {os.getloadavg()[0]:.1f} (others on this machine slow it down)",
            f"versions    tfvid {tfvid.__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
            f"NumPy {np.__version__}, Python {platform.python_version()}",
        ]
    )
