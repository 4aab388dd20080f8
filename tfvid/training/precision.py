"""Which number format the layers compute in. Variables, losses and logits are float32 in any case."""

from tfvid.network import onednn


def policy(mixed_precision: bool | str) -> str:
    """The Keras dtype policy for ``train.mixed_precision``: "mixed_bfloat16" or "float32".

    Args:
      mixed_precision: True, False, or "auto": bfloat16 where the machine computes in it, see `onednn.has_bfloat16`.
    """
    wanted = onednn.has_bfloat16() if mixed_precision == "auto" else mixed_precision
    return "mixed_bfloat16" if wanted else "float32"
