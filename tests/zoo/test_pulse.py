"""PhysNet of open-rppg, a trained 3-D CNN whose answer is a pulse: the place and the time of a pulse that is known.

A still face-like clip with noise gets a pulse in one region and one span of frames. Three things are needed to find
both:

* the score is the likeness of the *unnormalised* output to the pulse within the span. PhysNet divides its output by the
  standard deviation over all frames, so hiding a frame changes the answer at all others;
* what is hidden, or compared with, lacks the frequencies of a pulse and nothing else. A blurred or black region has the
  same pulse, or other colours; a still one has no noise, to which PhysNet's max-pools react;
* the method works by differences. Gradients say where a pulse would count, not where one is.
"""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvid

pytestmark = pytest.mark.long
FRAMES, SIZE, FPS, HERTZ = 128, 32, 30, 1.25
TIME = np.arange(FRAMES) / FPS
SPAN = slice(48, 96)
REGION = (slice(8, 24), slice(0, 16))
DELAY = 10 / FPS  # of PhysNet's answer, in seconds; the correlation with the pulse in the span is .82 there


class Unnormalised(keras.Model):
    """PhysNet before it normalises its answer: what its layer `flatten` returns."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def call(self, clips, training=False):
        layer, found = self.net.flatten, []
        call = layer.call
        layer.call = lambda x: found.append(call(x)) or found[0]
        try:
            self.net(clips, training=False)
        finally:
            layer.call = call
        return found[0]


@pytest.fixture(scope="module")
def physnet():
    policy = keras.config.dtype_policy()
    models = pytest.importorskip("rppg.models", reason="needs open-rppg", exc_type=Exception)
    keras.config.set_dtype_policy("float32")  # the package sets another one
    net = models.PhysNet()
    net(np.zeros((1, FRAMES, SIZE, SIZE, 3), np.float32))
    net.load_weights(os.path.join(os.path.dirname(models.__file__), "weights", "physnet.rlap.weights.h5"))
    keras.config.set_dtype_policy(policy)
    return net


def face_with_a_pulse():
    """A clip float32 `(1, 128, 32, 32, 3)`; the noise is half a level of 8 bits, the pulse at most four levels."""
    distance = ((np.mgrid[:SIZE, :SIZE] - 15.5) ** 2).sum(axis=0)[..., None]
    face = np.array([0.75, 0.55, 0.45]) * (1 - 0.25 * distance / 480)
    clip = face + np.random.default_rng(0).normal(0, 0.002, (FRAMES, SIZE, SIZE, 3))
    pulse = 0.015 * np.sin(2 * np.pi * HERTZ * TIME)[:, None, None, None] * np.array([0.4, 1, 0.5])
    clip[SPAN, REGION[0], REGION[1]] += pulse[SPAN]
    return clip.astype(np.float32)[None]


def likeness(answer):
    """How much the answer `(B, T)` is like the pulse in its span."""
    pulse = np.zeros(FRAMES, np.float32)
    pulse[SPAN] = np.sin(2 * np.pi * HERTZ * (TIME - DELAY))[SPAN]
    return tf.reduce_sum(answer * (pulse - pulse.mean()), axis=-1) / (SPAN.stop - SPAN.start)


def without_pulse(clips):
    """The clips without the frequencies of a pulse, 0.7 to 4 Hz, at each pixel."""
    frequency = np.fft.rfftfreq(FRAMES, 1 / FPS)
    kept = tf.constant((frequency < 0.7) | (frequency > 4), tf.complex64)
    spectrum = tf.signal.rfft(tf.transpose(clips, (0, 2, 3, 4, 1)))
    return tf.transpose(tf.signal.irfft(spectrum * kept, [FRAMES]), (0, 4, 1, 2, 3))


def times_chance(maps):
    """The region's and the span's share of what raises the score, divided by their share of the clip: 1 is chance."""
    raising = np.maximum(maps[0], 0)
    place, time = raising[:, REGION[0], REGION[1]].sum() / raising.sum(), raising[SPAN].sum() / raising.sum()
    return place * SIZE * SIZE / 16**2, time * FRAMES / (SPAN.stop - SPAN.start)


@pytest.mark.parametrize(
    "method, options",
    [
        ("deep_lift", {"baseline": without_pulse}),
        ("occlusion", {"window": (16, 8, 8), "stride": (16, 8, 8), "fill": without_pulse, "batch_size": 4}),
    ],
)
def test_the_place_and_the_time_of_a_pulse_are_found(physnet, method, options):
    """At most 4 times chance in space, and 2.67 times in time."""
    model = tfvid.VideoModel(Unnormalised(physnet), score=likeness, input_range=None)
    place, time = times_chance(tfvid.explainer(method, model, **options)(face_with_a_pulse()).attribution)
    assert place > 3 and time > 2.2, (place, time)


def test_the_normalised_answer_hides_the_time(physnet):
    """The same method with the answer as PhysNet returns it: right in space, little better than chance in time."""
    model = tfvid.VideoModel(physnet, score=likeness, input_range=None)
    maps = tfvid.explainer("deep_lift", model, baseline=without_pulse)(face_with_a_pulse()).attribution
    place, time = times_chance(maps)
    assert place > 2 and time < 1.8, (place, time)
