"""The perturbations by name. A user's own is named by file, ``"my_file.py:my_perturbation"``."""

from tfvid.core.registry import Registry

PERTURBATIONS = Registry(
    "perturbation",
    {
        "freeze": "tfvid.perturb.temporal:freeze",
        "reverse": "tfvid.perturb.temporal:reverse",
        "blur": "tfvid.perturb.blur:blur",
    },
)
