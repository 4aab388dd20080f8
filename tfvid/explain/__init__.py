"""Explanations of a video model's answer, by name.

Every explainer is built on a model and called the same way, ``explainer(clips, target=None)``; see `base.Explainer`.
"""

from tfvid.registry import Registry

EXPLAINERS = Registry(
    "explainer",
    {
        "temporal_mask": "tfvid.explain.temporal_mask:TemporalMask",
        "gradient": "tfvid.explain.gradients:Gradient",
        "gradient_x_input": "tfvid.explain.gradients:GradientXInput",
        "smooth_grad": "tfvid.explain.smooth_grad:SmoothGrad",
        "smooth_grad_squared": "tfvid.explain.smooth_grad:SmoothGradSquared",
        "var_grad": "tfvid.explain.smooth_grad:VarGrad",
        "integrated_gradients": "tfvid.explain.integrated_gradients:IntegratedGradients",
        "blur_ig": "tfvid.explain.blur_ig:BlurIG",
        "guided_backprop": "tfvid.explain.guided_backprop:GuidedBackprop",
        "deconv": "tfvid.explain.guided_backprop:Deconv",
        "grad_cam": "tfvid.explain.grad_cam:GradCAM",
        "grad_cam_plus_plus": "tfvid.explain.grad_cam_plus_plus:GradCAMPlusPlus",
        "layer_cam": "tfvid.explain.layer_cam:LayerCAM",
        "score_cam": "tfvid.explain.score_cam:ScoreCAM",
        "saliency_tubes": "tfvid.explain.saliency_tubes:SaliencyTubes",
        "crop_search": "tfvid.explain.crop_search:CropSearch",
        "meaningful_perturbation": "tfvid.explain.meaningful_perturbation:MeaningfulPerturbation",
        "extremal_perturbation": "tfvid.explain.extremal_perturbation:ExtremalPerturbation",
        "extremal_perturbation_3d": "tfvid.explain.extremal_perturbation_3d:ExtremalPerturbation3D",
        "step": "tfvid.explain.step:STEP",
        "excitation_backprop": "tfvid.explain.excitation:ExcitationBackprop",
        "contrastive_excitation_backprop": "tfvid.explain.excitation:ContrastiveExcitationBackprop",
        "occlusion": "tfvid.explain.occlusion:Occlusion",
        "rise": "tfvid.explain.rise:RISE",
        "lime": "tfvid.explain.lime:LIME",
        "shapley": "tfvid.explain.shapley:Shapley",
        "kernel_shap": "tfvid.explain.kernel_shap:KernelSHAP",
    },
)


def explainer(name: str, model, **options):
    """Builds the explainer called `name`, or a user's own: ``"my_file.py:MyExplainer"``.

    Args:
      name: a name in `EXPLAINERS`, or file and class.
      model: a Keras model of clips `(B, T, H, W, C)`.
      **options: the explainer's own arguments.

    Raises:
      TfvidError: no such explainer.

    Example:
      >>> result = tfvid.explainer("grad_cam", model, pool="clip")(clips)
    """
    return EXPLAINERS.find(name)(model, **options)
