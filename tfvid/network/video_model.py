"""`VideoModel`: one description of what a model expects and returns, for all explainers, metrics and commands.

tfvid's own convention is one input, clips `(B, T, H, W, C)` in [0, 1], RGB, and one output, class scores `(B, K)`. A
`VideoModel` says how a model differs from it. `tfvid.network.described` does the conversion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras

from tfvid.core.errors import ModelError, TfvidError, check_choice
from tfvid.network.layout import Layout
from tfvid.network.model_format import CHANNELS, GREY, OUTPUTS, checked_range

ALL = "all"


@dataclass(frozen=True, eq=False)
class VideoModel:
    """Describes a video model: its inputs, the layout and the range of its clips, and what it returns.

    Everything in tfvid that takes a model also takes a `VideoModel`. Clips stay `(B, T, H, W, C)`, RGB in [0, 1], and
    so do maps, films and gradients. The conversions below are differentiable and run in this order: `input_range`,
    `channels`, `preprocess`, `layout`, `inputs`, the model, `head`, then `frames` or `score`.

    Attributes:
      model: a Keras model; or a function from NumPy arrays to NumPy arrays, for methods that need scores only.
      clip: the input that gets the clip: its name, or its place in a list of inputs. None: the only input that `inputs`
        does not name.
      inputs: the other inputs, by name or by place: an array for one clip, without the batch, repeated for all clips;
        or a function of the clip tensor as the model gets it, e.g. ``lambda x: x[:, ::4]`` for a second frame rate.
      layout: the order of the model's axes, without the batch: "THWC", "CTHW", "TCHW", "HWTC"; "(BT)HWC" if the frames
        are part of the batch; without "C" for grey clips.
      preprocess: a function from clips `(B, T, H, W, C)` in `input_range` to what the model was trained on, in
        TensorFlow operations: see `tfvid.preprocess`. None: nothing more.
      input_range: the values (low, high) that the model expects for black and white. None: clips unchanged. "auto": the
        declared range (`tfvid.declare`), or else the range that the model's first layers imply.
      channels: the colour order that the model expects: "rgb", "bgr", or "grey", one channel, the luma of
        ITU-R BT.601. None: as declared.
      head: which output, of a model with several: its name, or its place.
      frames: for a model that returns scores of each frame, `(B, T', K)`: the frame, an int; a span of frames,
        ``(start, stop)``; or "all". The scores of a span are the mean over its frames.
      output: what the scores are: "logits" or "probabilities" of classes that exclude one another; "sigmoid_logits" or
        "sigmoid", independent classes; "score", any numbers, such as a regression; "auto": as declared, or else what
        the last layer implies.
      score: a function from the model's outputs to one number per clip, float `(B,)`, which is explained in place of a
        class score: see `tfvid.scores`. The model then has one class, 0, and its score may have any range. None: class
        scores.
      class_names: the names of the K classes. None: unknown.

    Raises:
      TfvidError: a value that does not exist, or fields that exclude one another.
      ModelError: `model` is not a Keras model and not callable; or, when it is used, an input or output that the model
        does not have.

    Example:
      >>> model = tfvid.VideoModel(net, layout="CTHW", input_range=(0, 255), channels="bgr")
      >>> tfvid.GradCAM(model)(clips)                # clips (B, T, H, W, 3) in [0, 1], RGB
      >>> slow_fast = tfvid.VideoModel(net, clip="fast", inputs={"slow": lambda x: x[:, ::4]})
      >>> per_frame = tfvid.VideoModel(net, frames=(8, 12))
    """

    model: Any
    clip: str | int | None = None
    inputs: Mapping[str | int, Any] = field(default_factory=dict)
    layout: str = "THWC"
    preprocess: Callable | None = None
    input_range: tuple[float, float] | str | None = "auto"
    channels: str | None = None
    head: str | int | None = None
    frames: int | tuple[int, int] | str | None = None
    output: str = "auto"
    score: Callable | None = None
    class_names: tuple[str, ...] | None = None

    def __post_init__(self):
        if isinstance(self.model, VideoModel) or not callable(self.model):
            raise ModelError(f"model: expected a Keras model or a function of clips, got {type(self.model).__name__}")
        Layout(self.layout)
        checked_range(self.input_range)
        if self.channels is not None:
            check_choice("channels", self.channels, (*CHANNELS, GREY))
        check_choice("output", self.output, OUTPUTS)
        _check_frames(self.frames)
        for name in ("preprocess", "score"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise TfvidError(f"{name}: expected a function, got {type(getattr(self, name)).__name__}")
        if self.score is not None and (self.frames is not None or self.output not in ("auto", "score")):
            raise TfvidError("score: a function of the outputs leaves no use for `frames` and `output`; leave them out")
        if self.clip is not None and self.clip in self.inputs:
            raise TfvidError(f"input {self.clip!r} gets the clip, and `inputs` names it, too; leave one out")

    @cached_property
    def network(self):
        """The model as a function of clips `(B, T, H, W, C)`: a Keras model, or a function of NumPy clips."""
        from tfvid.network.described import Described, described_function

        return Described(self) if isinstance(self.model, keras.Model) else described_function(self)


def _check_frames(frames):
    """Raises TfvidError if `frames` is not None, "all", an int or a span."""
    if frames is None or frames == ALL or isinstance(frames, int) and not isinstance(frames, bool):
        return
    if isinstance(frames, tuple) and len(frames) == 2 and all(type(x) is int for x in frames) and frames[0] < frames[1]:
        return
    raise TfvidError(f"frames: expected a frame such as 3, a span such as (4, 8), or 'all', got {frames!r}")


def network_of(model):
    """Returns the function of clips `(B, T, H, W, C)` of a `VideoModel`; any other object is returned as it is."""
    return model.network if isinstance(model, VideoModel) else model
