"""The signatures of an exported model: the functions of the explainers, with input checks in the graph.

A SavedModel runs without tfvid's Python code, so the graph itself checks its inputs. Each error message is one line.
"""

import keras
import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.network.described import Described
from tfvid.network.stated import OPEN, input_shape
from tfvid.perturb.temporal import freeze, reverse

# Share of the range by which clips may exceed it, since freezing and reversing mix frames in float32.
SLACK = 1e-3
# A JPEG of more pixels is refused before it is decoded, to bound memory, as in `tfvid.data.decode.video`.
MAX_PIXELS = 8192 * 8192

RANGE_MESSAGE = "clips: expected values in [{}, {}], got {} to {}"


def signatures(learn: TemporalMask, locate: GradCAM, shape: tuple, input_range: tuple[float, float]) -> dict:
    """Traces the functions to export.

    All take and return dictionaries of tensors with the batch first; docs/export.md lists names, dtypes and shapes.

    Args:
      learn: the temporal mask, prepared.
      locate: Grad-CAM, prepared.
      shape: of a clip, (T, H, W, C).
      input_range: lowest and highest pixel value.

    Returns:
      Concrete functions by name.

    Raises:
      ModelError: the model cannot be explained, or runs Python code when it predicts.
    """
    checks = Checks(shape, input_range, learn.classifier.num_classes)
    clips = tf.TensorSpec((None, *shape), tf.float32, "clips")
    target = tf.TensorSpec((None,), tf.int32, "target")
    steps = tf.TensorSpec((None,), tf.int32, "steps")
    mask = tf.TensorSpec((None, shape[0]), tf.float32, "mask")
    frames = tf.TensorSpec((None, shape[0]), tf.string, "frames")

    def classify(clips):
        return {"probabilities": learn.classifier.probabilities(checks.clips(clips))}

    def grad_cam(clips, target):
        clips = checks.clips(clips)
        return locate.maps(clips, checks.target(target, clips))

    def temporal_mask(clips, target, steps):
        clips = checks.clips(clips)
        target = checks.target(target, clips)
        learned = learn.strategy.learn(clips, target, tf.fill(tf.shape(target), -1), checks.steps(steps, clips))
        # There are no labels; `serving_default` returns the probabilities of all classes.
        del learned["true_score"], learned["probabilities"]
        return learned

    def perturbing(perturb):
        def perturbed(clips, mask):
            clips = checks.clips(clips)
            return {"clips": perturb(clips, checks.mask(mask, clips))}

        return perturbed

    def classify_jpeg(frames):
        return {"probabilities": learn.classifier.probabilities(decoded(frames, shape, input_range))}

    functions = {
        "serving_default": traced(classify, clips),
        "grad_cam": traced(grad_cam, clips, target),
        "temporal_mask": traced(temporal_mask, clips, target, steps),
        "freeze": traced(perturbing(freeze), clips, mask),
        "reverse": traced(perturbing(reverse), clips, mask),
    }
    if shape[-1] in (1, 3):  # the channels that a JPEG can have
        functions["serving_jpeg"] = traced(classify_jpeg, frames)
    return functions


class Checks:
    """Checks of the signatures' inputs, in the graph. They raise an `InvalidArgumentError` of one line.

    Each method returns its tensor, with the check as a control dependency.

    Args:
      shape: of a clip, (T, H, W, C).
      input_range: lowest and highest pixel value.
      num_classes: K.
    """

    def __init__(self, shape: tuple, input_range: tuple[float, float], num_classes: int):
        self.shape, self.range, self.num_classes = shape, input_range, num_classes

    def clips(self, clips):
        # TensorFlow runs signatures on tensors of other shapes, too. This error states both shapes.
        clips = tf.ensure_shape(clips, (None, *self.shape))
        clips = _required(clips, tf.shape(clips)[0] > 0, "clips: expected 1 or more, got none")
        low, high = self.range
        got = (tf.reduce_min(clips), tf.reduce_max(clips))
        return _required(clips, in_range(clips, low, high), RANGE_MESSAGE, low, high, *got)

    def target(self, target, clips):
        target = _one_each(target, (None,), clips, "target")
        bad = tf.boolean_mask(target, (target < -1) | (target >= self.num_classes))
        message = "target: expected classes 0 to {}, or -1 for the predicted one, got {}"
        return _required(target, tf.equal(tf.size(bad), 0), message, self.num_classes - 1, bad)

    def steps(self, steps, clips):
        steps = _one_each(steps, (None,), clips, "steps")
        bad = tf.boolean_mask(steps, steps < 0)
        return _required(steps, tf.equal(tf.size(bad), 0), "steps: expected 0 or more, got {}", bad)

    def mask(self, mask, clips):
        mask = _one_each(mask, (None, self.shape[0]), clips, "mask")
        got = (tf.reduce_min(mask), tf.reduce_max(mask))
        return _required(mask, in_range(mask, 0.0, 1.0), "mask: expected values in [0, 1], got {} to {}", *got)


def in_range(values, low: float, high: float):
    """Returns whether all `values` lie in [low, high] within `SLACK`, as a scalar bool tensor; False for NaN."""
    slack = SLACK * (high - low)
    return tf.reduce_all((values >= low - slack) & (values <= high + slack))


def decoded(frames, shape: tuple, input_range: tuple[float, float]):
    """Decodes JPEG files into clips, in the same way as `tfvid.read_clip` reads videos.

    Each frame is resized as a whole by area averages and rounded to 8 bits.

    Args:
      frames: strings `(B, T)`, the contents of the files.
      shape: of a clip, (T, H, W, C).
      input_range: lowest and highest pixel value.

    Returns:
      float32 `(B, T, H, W, C)` in `input_range`.
    """
    num_frames, height, width, channels = shape
    low, high = input_range
    frames = tf.ensure_shape(frames, (None, num_frames))
    frames = _required(frames, tf.shape(frames)[0] > 0, "frames: expected those of 1 clip or more, got none")

    def decode(file):
        file = _required(file, tf.io.is_jpeg(file), "frames: expected JPEG files, got one that is none")
        size = tf.image.extract_jpeg_shape(file)
        fits = tf.reduce_prod(tf.cast(size[:2], tf.int64)) <= MAX_PIXELS
        file = _required(file, fits, "frames: expected at most {} pixels, got {}", MAX_PIXELS, size[:2])
        image = tf.io.decode_jpeg(file, channels, dct_method="INTEGER_ACCURATE")  # equals OpenCV's decoder bit by bit
        return tf.round(tf.image.resize(image, (height, width), "area"))

    images = tf.map_fn(decode, tf.reshape(frames, (-1,)), fn_output_signature=tf.TensorSpec(shape[1:], tf.float32))
    return low + (high - low) / 255 * tf.reshape(images, (-1, *shape))


def _required(tensor, condition, message: str, *values):
    """Returns `tensor` if `condition` holds; else the graph raises `message`, formatted with `values`."""
    # The messages of other assertions in tf.debugging have several lines.
    check = tf.debugging.Assert(condition, [tf.strings.format(message, values)])
    with tf.control_dependencies([check]):
        return tf.identity(tensor)


def _one_each(tensor, shape: tuple, clips, name: str):
    tensor = tf.ensure_shape(tensor, shape)
    num_clips, got = tf.shape(clips)[0], tf.shape(tensor)[0]
    return _required(tensor, tf.equal(num_clips, got), name + ": expected one a clip, {}, got {}", num_clips, got)


PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def traced(function, *inputs: tf.TensorSpec):
    """Returns a concrete function of `inputs` that another process can load.

    Raises:
      ModelError: the function runs Python code.
    """
    # Without autograph, as in the explainers.
    concrete = tf.function(function, inputs, autograph=False).get_concrete_function()
    definition = concrete.graph.as_graph_def()
    nodes = [*definition.node, *(node for inner in definition.library.function for node in inner.node_def)]
    for node in nodes:
        if node.op in PYTHON_OPS:  # it would load in another process, and fail at the first call
            raise ModelError(
                f"the model runs Python code when it predicts ({node.name}), which a SavedModel cannot contain"
            )
    return concrete


def noise(shape: tuple, input_range: tuple[float, float]) -> tf.Tensor:
    """Returns two clips of random pixels, `(2, *shape)`, to prepare an explainer without real clips."""
    seed = (0, 0)
    return tf.random.stateless_uniform((2, *shape), seed, *map(float, input_range))


def clip_shape(model: keras.Model, num_frames: int | None, size: tuple[int, int] | None) -> tuple:
    """Returns the shape of a clip, (T, H, W, C): the model's, completed by `num_frames` and `size`.

    Args:
      model: the model.
      num_frames: T, for models that take clips of any length; else None.
      size: (H, W), for models that take frames of any size; else None.

    Raises:
      ModelError: an axis is unknown, or model and arguments contradict each other.
    """
    stated = input_shape(model)
    taken = (*OPEN[:3], 3) if stated is None else stated[1:]
    if isinstance(model, Described) and taken[3] is None:
        taken = (*taken[:3], 3)
    asked = (num_frames, *(size or (None, None)), None)
    if len(taken) != 4 or any(None not in pair and pair[0] != pair[1] for pair in zip(taken, asked, strict=True)):
        raise ModelError(f"the model takes clips {taken}, but its card says {asked[:3]} frames, height and width")
    shape = tuple(own or other for own, other in zip(taken, asked, strict=True))
    if None in shape:
        message = f"an exported model takes clips of one shape, got {shape}: pass a card with num_frames and size"
        raise ModelError(message)
    return shape
