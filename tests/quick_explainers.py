"""All explainers with options that keep their tests short."""

import dataclasses

from tfvid.explain import EXPLAINERS

METHODS = list(EXPLAINERS)
QUICK = {
    "meaningful_perturbation": {"iterations": 3},
    "extremal_perturbation": {"iterations": 2, "areas": (0.1, 0.5), "num_levels": 3},
    "extremal_perturbation_3d": {"iterations": 2, "areas": (0.1, 0.5), "num_levels": 3},
    "step": {"iterations": 2, "core_after": 1, "areas": (0.1, 0.5), "num_levels": 3},
    "temporal_mask": {"iterations": 4},
    "smooth_grad": {"samples": 3},
    "smooth_grad_squared": {"samples": 3},
    "var_grad": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "blur_ig": {"steps": 4},
    "occlusion": {"unit": "frame"},
    "rise": {"masks": 8},
    "lime": {"samples": 20},
    "shapley": {"segments": (2, 2, 1)},
    "kernel_shap": {"segments": "frames", "samples": 20},
}
POOLED = {"saliency_tubes"}  # methods for models that end in a global average pool and one linear layer


def arrays(result):
    """The fields of a result by name."""
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
