"""The cost of an explanation of one clip: forward and backward passes of the model, and seconds.

Most methods compile all their work, with loops, so Python calls the model once, however often it runs. So the counters
are variables in the model's graph: one adds the number of clips each time the model runs, and one adds the number of
clips in the gradient of its scores.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfvid.adapters.makes import adapted
from tfvid.network.checks import checked_clips
from tfvid.network.tracing import replaced
from tfvid.network.video_model import network_of


@dataclass(frozen=True)
class Cost:
    """The mean cost of explaining one clip, without compilation.

    Attributes:
      forward_passes: the number of clips that the model gets. A run of a part of the model, as `TemporalMask` may do
        it, counts as a whole run.
      backward_passes: the number of clips whose scores' gradient is computed; 0 for a function.
      seconds: wall-clock time.
    """

    forward_passes: float
    backward_passes: float
    seconds: float


def cost(build, model, clips, *arguments) -> Cost:
    """Returns the cost of explaining clips. It explains them twice, since the first time compiles.

      >>> cost(lambda model: tfvid.GradCAM(model), model, clips, target)
      Cost(forward_passes=1.0, backward_passes=1.0, seconds=0.014)

    Args:
      build: a function from a model to its explainer. An explainer that is compiled already cannot be counted.
      model: a Keras model, unchanged afterwards, also after an error; or a function of clips.
      clips: float `(B, T, H, W, C)`.
      *arguments: further arguments of the explainer, after the clips.
    """
    model = network_of(adapted(model))
    clips = checked_clips(clips, model)
    with counted(model) as (counting, count):
        explain = build(counting)
        explain(clips, *arguments)
        before, start = count(), time.perf_counter()
        explain(clips, *arguments)
        seconds = time.perf_counter() - start
        forward, backward = (after - earlier for after, earlier in zip(count(), before, strict=True))
    return Cost(forward / len(clips), backward / len(clips), seconds / len(clips))


@contextmanager
def counted(model):
    """Yields a model that counts, and a function that returns the clips (forward, backward) so far."""
    forward, backward = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))

    @tf.custom_gradient
    def watched(scores):
        def gradient(upstream):
            backward.assign_add(_clips(upstream))
            return upstream

        return tf.identity(scores), gradient

    def run(clips, *args, **kwargs):
        forward.assign_add(_clips(clips))
        return call(clips, *args, **kwargs)

    def count():
        return int(forward.numpy()), int(backward.numpy())

    if not isinstance(model, keras.Model):
        call = model
        yield run, count
        return
    call = model.call
    with replaced(model, "call", lambda *args, **kwargs: watched(run(*args, **kwargs))):
        yield model, count


def _clips(batch):
    return tf.shape(batch, out_type=tf.int64)[0]
