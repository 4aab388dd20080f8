"""Changing clips: what a mask does to the frames.

A perturbation is a function ``(clips (B, T, H, W, C), mask (B, T)) -> clips``; a user's own is named by file,
``"my_file.py:my_perturbation"``.
"""

from tfvid.core.registry import Registry

PERTURBATIONS = Registry(
    "perturbation",
    {
        "freeze": "tfvid.perturb.temporal:freeze",
        "reverse": "tfvid.perturb.temporal:reverse",
        "blur": "tfvid.perturb.blur:blur",
    },
)
