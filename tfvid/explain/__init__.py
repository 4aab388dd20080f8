"""Explanations of a video model's answer, by name.

Every explainer is built on a model and called the same way, ``explainer(clips, target=None)``; see `base.Explainer`.
"""

from tfvid.registry import Registry

EXPLAINERS = Registry(
    "explainer",
    {
        "temporal_mask": "tfvid.explain.temporal_mask:TemporalMask",
        "grad_cam": "tfvid.explain.grad_cam:GradCAM",
        "crop_search": "tfvid.explain.crop_search:CropSearch",
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
