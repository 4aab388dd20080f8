"""The explainers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfvid.core.registry import Registry

if TYPE_CHECKING:  # it imports TensorFlow
    from tfvid.explain.base import Explainer

EXPLAINERS = Registry(
    "explainer",
    {
        "temporal_mask": "tfvid.explain.masks.temporal_mask:TemporalMask",
        "gradient": "tfvid.explain.pixels.gradients:Gradient",
        "gradient_x_input": "tfvid.explain.pixels.gradients:GradientXInput",
        "smooth_grad": "tfvid.explain.pixels.smooth_grad:SmoothGrad",
        "smooth_grad_squared": "tfvid.explain.pixels.smooth_grad:SmoothGradSquared",
        "var_grad": "tfvid.explain.pixels.smooth_grad:VarGrad",
        "integrated_gradients": "tfvid.explain.pixels.integrated_gradients:IntegratedGradients",
        "expected_gradients": "tfvid.explain.pixels.expected_gradients:ExpectedGradients",
        "blur_ig": "tfvid.explain.pixels.blur_ig:BlurIG",
        "guided_backprop": "tfvid.explain.pixels.guided_backprop:GuidedBackprop",
        "deconv": "tfvid.explain.pixels.guided_backprop:Deconv",
        "grad_cam": "tfvid.explain.cam.grad_cam:GradCAM",
        "grad_cam_plus_plus": "tfvid.explain.cam.grad_cam_plus_plus:GradCAMPlusPlus",
        "layer_cam": "tfvid.explain.cam.layer_cam:LayerCAM",
        "score_cam": "tfvid.explain.cam.score_cam:ScoreCAM",
        "saliency_tubes": "tfvid.explain.cam.saliency_tubes:SaliencyTubes",
        "class_feature_pyramids": "tfvid.explain.pyramids.explainer:ClassFeaturePyramids",
        "crop_search": "tfvid.explain.masks.crop_search:CropSearch",
        "meaningful_perturbation": "tfvid.explain.masks.meaningful_perturbation:MeaningfulPerturbation",
        "extremal_perturbation": "tfvid.explain.masks.extremal_perturbation:ExtremalPerturbation",
        "extremal_perturbation_3d": "tfvid.explain.masks.extremal_perturbation_3d:ExtremalPerturbation3D",
        "step": "tfvid.explain.masks.step:STEP",
        "excitation_backprop": "tfvid.explain.excitation.backprop:ExcitationBackprop",
        "contrastive_excitation_backprop": "tfvid.explain.excitation.backprop:ContrastiveExcitationBackprop",
        "lrp": "tfvid.explain.lrp.explainer:LRP",
        "deep_lift": "tfvid.explain.deeplift.explainer:DeepLIFT",
        "deep_shap": "tfvid.explain.deeplift.explainer:DeepSHAP",
        "attention_rollout": "tfvid.explain.attention.rollout:AttentionRollout",
        "attention_relevance": "tfvid.explain.attention.relevance:AttentionRelevance",
        "attention_maps": "tfvid.explain.attention.maps:AttentionMaps",
        "occlusion": "tfvid.explain.pixels.occlusion:Occlusion",
        "rise": "tfvid.explain.pixels.rise:RISE",
        "lime": "tfvid.explain.pixels.lime:LIME",
        "shapley": "tfvid.explain.pixels.shapley:Shapley",
        "kernel_shap": "tfvid.explain.pixels.kernel_shap:KernelSHAP",
    },
    group="tfvid.explainers",
)


def explainer(name: str, model: Any, **options: Any) -> Explainer:
    """Builds an explainer by name.

    Args:
      name: a name in `EXPLAINERS`; or a user's own, ``"my_file.py:MyExplainer"``; or the name of an entry point in the
        group ``tfvid.explainers``.
      model: a Keras model of clips `(B, T, H, W, C)`.
      **options: the explainer's arguments.

    Raises:
      TfvidError: there is no such explainer.

    Example:
      >>> result = tfvid.explainer("grad_cam", model, pool="clip")(clips)
    """
    return EXPLAINERS.find(name)(model, **options)
