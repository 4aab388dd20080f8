"""Explains a model of several clips, such as RGB and optical flow: a result for each clip.

One example is explained at a time. For each clip, an explainer sees the model as a function of this clip alone. All
other clips of the example are held: they lie in variables, which are repeated for as many clips as the explainer tries
at a time. So the explainer traces its function once, for all examples.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from tfvid.adapters.makes import adapted
from tfvid.core.errors import ModelError, TfvidError, unknown
from tfvid.explain.base import Explainer, Explanation
from tfvid.explain.explainers import explainer
from tfvid.network.checks import class_indices
from tfvid.network.described import arranged_clip
from tfvid.network.video_model import VideoModel

Name = str | int


def explain_inputs(
    method: str | Callable[..., Explainer],
    model: Any,
    clips: Mapping[Name, Any],
    /,
    target=None,
    *,
    only: Iterable[Name] | None = None,
    **options: Any,
) -> dict[Name, Explanation]:
    """Explains each clip of a model of several clips, such as RGB and optical flow; the other clips are held.

    Examples are explained one by one, so `batch_size` of the method bounds only what it tries for one of them.

    Args:
      method: the name of a method, as in `tfvid.explainer`, or a class or function from a model to an explainer, e.g.
        ``tfvid.GradCAM``.
      model: a model of several inputs; or a `tfvid.VideoModel` of it, whose fields hold for all clips and whose
        `inputs` say what further inputs get; or a `VideoModel` for each clip, by name, where clips differ in their
        layout, range or preprocessing. The field `clip` is set by the name.
      clips: floats `(B, T, H, W, C)` by the name of the input, or by its place. T, H, W and C may differ.
      target: the class to explain: an int for all examples, ints `(B,)`, or None for each example's predicted class.
      only: the names of the clips to explain. None: all in `clips`.
      **options: of the method, for all clips.

    Returns:
      The method's result for each clip, by name, its arrays with the batch first. `result.clips` are the clips.

    Raises:
      TfvidError: different numbers of clips, or clips, a target or options that do not fit.
      ModelError: an input that the model does not have, or that gets nothing.

    Example:
      >>> found = tfvid.explain_inputs("grad_cam", two_stream, {"rgb": frames, "flow": flow})
      >>> found["flow"].attribution.shape
      (2, 16, 224, 224)
      >>> cuts = tfvid.explain_inputs(tfvid.TemporalMask, two_stream, {"rgb": frames, "flow": flow}, only=["flow"])
    """
    streams = _streams(method, model, clips, options)
    chosen = list(clips if only is None else only)
    for name in chosen:
        if name not in streams:
            raise TfvidError(unknown("clip", name, map(str, streams)))
    count = _count(streams)
    for stream in streams.values():
        stream.prepare()
    num_classes = next(iter(streams.values())).explainer.classifier.num_classes
    targets = [None] * count if target is None else class_indices(target, count, num_classes)
    parts: dict[Name, list[Explanation]] = {name: [] for name in chosen}
    for example, its_target in enumerate(targets):
        for stream in streams.values():
            stream.hold(example)
        for name in chosen:
            parts[name].append(streams[name].explain(example, its_target))
    return {name: type(of[0]).join(of).of(clips[name]) for name, of in parts.items()}


class _Stream:
    """One of the clips of a model.

    Args:
      description: the `VideoModel` of this clip, without what the other clips get.
      clips: as given, `(B, T, H, W, C)`.

    Attributes:
      explainer: explains this clip.
      held: the clip of the example of the moment as the model gets it, a variable of one clip.
    """

    def __init__(self, description: VideoModel, clips):
        self.description = description
        self.given = clips
        self.explainer: Any = None
        first = tf.cast(tf.convert_to_tensor(clips)[:1], tf.float32)
        self.held = tf.Variable(arranged_clip(_alone(description), first), trainable=False)

    @property
    def rows(self) -> int:
        """The number of rows that the model gets for one clip: its frames, if they are part of the batch, or 1."""
        return int(self.held.shape[0])

    def build(self, build: Callable[..., Explainer], others: Mapping[Name, "_Stream"], options: Mapping[str, Any]):
        """Makes the explainer; its model gets the held clips of `others`."""
        inputs = {name: partial(_repeated, other, self) for name, other in others.items()}
        self.explainer = build(
            dataclasses.replace(self.description, inputs={**self.description.inputs, **inputs}), **options
        )

    def prepare(self):
        """Checks all clips, and finds out the range that the model expects."""
        self.clips = self.explainer.classifier.checked(self.given)
        self.explainer.classifier.prepare(self.clips)

    def hold(self, example: int):
        """Holds the clip of an example."""
        scaled = self.explainer.classifier.scaling(self.clips[example : example + 1])
        self.held.assign(arranged_clip(_alone(self.description), scaled))

    def explain(self, example: int, target) -> Explanation:
        """Explains the clip of an example."""
        return self.explainer(self.clips[example : example + 1], target)


def _alone(description: VideoModel) -> VideoModel:
    return dataclasses.replace(description, inputs={})


def _repeated(stream: _Stream, own: _Stream, clip: tf.Tensor) -> tf.Tensor:
    """The held clip of a stream, once for each clip of `own`, of which `clip` is what the model gets."""
    times = tf.shape(clip)[0] // own.rows
    return tf.tile(stream.held, [times, *[1] * (len(stream.held.shape) - 1)])


def _streams(method, model, clips: Mapping[Name, Any], options) -> dict[Name, _Stream]:
    """The clips of the model by name, each with its explainer."""
    descriptions = _descriptions(model, clips)
    streams = {name: _Stream(descriptions[name], clips[name]) for name in clips}
    build = partial(explainer, method) if isinstance(method, str) else method
    for name, stream in streams.items():
        stream.build(build, {other: streams[other] for other in streams if other != name}, options)
    return streams


def _descriptions(model, clips: Mapping[Name, Any]) -> dict[Name, VideoModel]:
    """The `VideoModel` of each clip.

    Raises:
      TfvidError: `clips` is not a mapping, or `model` is one of other names or of several models.
      ModelError: an input that the model does not have, or that gets nothing.
    """
    if not isinstance(clips, Mapping) or not clips:
        raise TfvidError(f"clips: expected clips by the name of their input, got {type(clips).__name__}")
    if isinstance(model, Mapping):
        if model.keys() != clips.keys() or len({id(getattr(one, "model", one)) for one in model.values()}) > 1:
            raise TfvidError(
                f"model: expected a tfvid.VideoModel of the same model for each of {_names(clips)}, got {_names(model)}"
            )
        given = dict(model)
    else:
        given = dict.fromkeys(clips, model)
    given = {name: one if isinstance(one, VideoModel) else VideoModel(adapted(one)) for name, one in given.items()}
    network = adapted(next(iter(given.values()))).model
    given = {name: dataclasses.replace(one, model=network, clip=name) for name, one in given.items()}
    _check_names(given)
    return given


def _check_names(given: Mapping[Name, VideoModel]):
    """Raises ModelError for a name that is no input of the model, and for an input of the model that gets nothing."""
    known = [tensor.name for tensor in getattr(next(iter(given.values())).model, "inputs", None) or []]
    if not known:
        return
    named: list = list(range(len(known))) if all(isinstance(name, int) for name in given) else known
    for name in given:
        if name not in named:
            raise ModelError(f"clips: the model has no input {name!r}; it has {_names(known)}")
    for one in given.values():
        if left := [name for name in named if name not in given and name not in one.inputs]:
            raise ModelError(
                f"clips: the model's input {left[0]!r} gets nothing; give its clips, too, or say what it gets: "
                f"tfvid.VideoModel(model, inputs={{{left[0]!r}: ...}})"
            )


def _names(names: Iterable) -> str:
    return ", ".join(map(str, names))


def _count(streams: Mapping[Name, _Stream]) -> int:
    """B.

    Raises:
      TfvidError: it differs between the clips.
    """
    counts = {name: len(stream.given) for name, stream in streams.items()}
    if len(set(counts.values())) > 1:
        got = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise TfvidError(f"clips: expected the same number of clips for each input, got {got}")
    return next(iter(counts.values()))
