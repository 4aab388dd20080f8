"""The number format in which layers compute. Variables, losses and logits are always float32."""

from tfvid.network import onednn


def policy(mixed_precision: bool | str) -> str:
    """Returns the Keras dtype policy for ``train.mixed_precision``: "mixed_bfloat16" or "float32".

    Args:
      mixed_precision: True, False, or "auto": bfloat16 if the machine supports it, see `onednn.has_bfloat16`.
    """
    wanted = onednn.has_bfloat16() if mixed_precision == "auto" else mixed_precision
    return "mixed_bfloat16" if wanted else "float32"
