"""All explainers with options that keep their tests short."""

import dataclasses

from tfvid.explain import EXPLAINERS
from tfvid.explain.methods import QUICK

__all__ = ["METHODS", "OF_TRANSFORMERS", "OF_CONV3D", "POOLED", "QUICK", "arrays"]
OF_TRANSFORMERS = {"attention_rollout", "attention_relevance", "attention_maps"}  # tests/explain/test_attention.py
METHODS = [name for name in EXPLAINERS if name not in OF_TRANSFORMERS]
# Methods for models that end in a global average pool and one linear layer.
POOLED = {"saliency_tubes", "class_feature_pyramids"}
OF_CONV3D = {"class_feature_pyramids"}  # methods for networks of 3-D convolutions


def arrays(result):
    """The fields of a result by name."""
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
