"""What an explanation costs: runs of the model, forward and backward, and seconds, for one clip.

Most methods compile their whole work, loops included, so Python sees the model called once however often it runs. The
count is therefore made where the work is done: the model given to the method carries counters inside its graph, one
that adds the number of clips each time it runs, and one in the gradient of its scores.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfvid.network.checks import checked_clips
from tfvid.network.tracing import replaced


@dataclass(frozen=True)
class Cost:
    """The mean cost of explaining one clip, compilation left out.

    Attributes:
      forward_passes: clips run through the model. A method that runs only a part of it for most of its steps, as
        `TemporalMask` may, counts each as a whole one.
      backward_passes: clips whose scores' gradient was taken; 0 for a mere function.
      seconds: wall-clock time.
    """

    forward_passes: float
    backward_passes: float
    seconds: float


def cost(build, model, clips, *arguments) -> Cost:
    """Explains clips and counts; twice, for the first time compiles.

      >>> cost(lambda model: tfvid.GradCAM(model), model, clips, target)
      Cost(forward_passes=1.0, backward_passes=1.0, seconds=0.014)

    Args:
      build: makes the explainer of a model. It has to be made here, for what is compiled already cannot be counted.
      model: a Keras model, unchanged afterwards, also after an error; or a function of clips.
      clips: float `(B, T, H, W, C)`.
      *arguments: what the explainer is given besides.
    """
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
    """While it lasts, a model that counts: yields it, and a function that returns clips (forward, backward) so far."""
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
