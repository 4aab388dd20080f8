"""Video models as people build them, small, with random weights, written from their published descriptions.

Each function in `MODELS` returns a `Case`. Their clips are `(B, 8, 32, 32, 3)` unless the case says otherwise. Keras
builds a network within `TimeDistributed` once for each frame, so the three deep ones have two frames.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import tfvid

SHAPE = (8, 32, 32, 3)
TWO_FRAMES = (2, 32, 32, 3)
CLASSES = 3


@dataclass(frozen=True)
class Case:
    """A model, how tfvid is told what it is, and its scores as plain TensorFlow computes them.

    Attributes:
      net: the Keras model, built.
      fields: the fields of `tfvid.VideoModel` other than the model; empty for a plain model.
      score: a function from a batch of clips to what `tfvid.Gradient` explains: scores `(B, K)` before a softmax or
        sigmoid.
      inputs: a function from clips to what the Keras model gets.
      targets: the labels that `fit` gets for 2 clips.
      loss: of `fit`.
      shape: of one clip.
    """

    net: keras.Model
    score: object
    fields: dict
    inputs: object
    targets: np.ndarray
    loss: str
    shape: tuple = SHAPE

    def described(self, net=None):
        """The model, or another one of the same build, as tfvid gets it."""
        net = net or self.net
        return tfvid.VideoModel(net, **self.fields) if self.fields else net


def case(net, *, score=None, fields=None, inputs=None, targets=None, loss=None, shape=SHAPE):
    """A `Case` of a classifier of one clip, but for what is given."""
    if targets is None:
        targets = np.array([0, 2])
    return Case(
        net,
        score or (lambda clips: net(inputs(clips) if inputs else clips, training=False)),
        fields or {},
        inputs or (lambda clips: clips),
        targets,
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        shape,
    )


def head(x, **options):
    return layers.Dense(CLASSES, name="head", **options)(x)


# Recurrent networks on frames -------------------------------------------------------------------------------------


def cnn_rnn():
    """Features of frames and a mask of the frames that exist, two inputs, into two GRU layers (keras.io)."""
    clips, mask = keras.Input(SHAPE, name="clips"), keras.Input((SHAPE[0],), dtype="bool", name="mask")
    frame = keras.Sequential(
        [layers.Conv2D(8, 3, strides=2, activation="relu", name="conv"), layers.GlobalAveragePooling2D()], name="frame"
    )
    x = layers.TimeDistributed(frame, name="frames")(clips)
    x = layers.GRU(16, return_sequences=True)(x, mask=mask)
    x = layers.Dense(8, activation="relu")(layers.GRU(8)(x))
    net = keras.Model({"clips": clips, "mask": mask}, head(x), name="cnn_rnn")
    existing = np.arange(SHAPE[0]) < 6
    return case(
        net,
        fields={"clip": "clips", "inputs": {"mask": existing}},
        inputs=lambda clips: {"clips": clips, "mask": tf.repeat(existing[None], len(clips), axis=0)},
    )


def time_distributed(backbone, name, **fields):
    """A 2-D network of keras.applications on each frame, then an LSTM."""
    clips = keras.Input(TWO_FRAMES, name="clips")
    x = layers.TimeDistributed(backbone, name="frames")(clips)
    return case(keras.Model(clips, head(layers.LSTM(8)(x)), name=name), fields=fields, shape=TWO_FRAMES)


def mobilenet_lstm():
    """MobileNetV2 of width 0.35 on each frame."""
    net = keras.applications.MobileNetV2(SHAPE[1:], alpha=0.35, include_top=False, weights=None, pooling="avg")
    return time_distributed(net, "mobilenet_lstm")


def efficientnet_lstm():
    """EfficientNetB0 on each frame; the network expects 0 to 255."""
    net = keras.applications.EfficientNetB0(input_shape=SHAPE[1:], include_top=False, weights=None, pooling="avg")
    scaled = time_distributed(net, "efficientnet_lstm")
    return case(scaled.net, inputs=lambda clips: 255 * clips, shape=TWO_FRAMES)


def resnet50_lstm():
    """ResNet50 on each frame; its preprocessing lies outside the network: BGR, 0 to 255, without the mean colour."""
    net = keras.applications.ResNet50(input_shape=SHAPE[1:], include_top=False, weights=None, pooling="avg")
    preprocess = keras.applications.resnet50.preprocess_input
    plain = time_distributed(net, "resnet50_lstm", input_range=(0, 255), preprocess=preprocess)
    prepared = lambda clips: preprocess(tf.convert_to_tensor(255 * clips))  # noqa: E731
    return case(plain.net, fields=plain.fields, inputs=prepared, shape=TWO_FRAMES)


def conv_lstm_next_frame():
    """Predicts the next frame at each frame by ConvLSTM2D and Conv3D (keras.io); explained by an answer's likeness."""
    shape = (6, 16, 16, 1)
    clips = keras.Input(shape)
    x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True, activation="tanh", name="lstm")(clips)
    x = layers.ConvLSTM2D(4, 1, padding="same", return_sequences=True, activation="tanh")(
        layers.BatchNormalization()(x)
    )
    net = keras.Model(clips, layers.Conv3D(1, 3, activation="sigmoid", padding="same")(x), name="conv_lstm_next_frame")
    answer = np.random.default_rng(3).random(shape, np.float32)
    score = tfvid.scores.similarity(answer)
    return case(
        net,
        fields={"score": score},
        score=lambda clips: score(net(clips, training=False))[:, None],
        targets=np.repeat(answer[None], 2, axis=0),
        loss="mse",
        shape=shape,
    )


def per_frame():
    """Class scores of each frame, `(B, T, K)`; the mean over frames 2 to 5 is explained."""
    clips = keras.Input(SHAPE)
    x = layers.Conv3D(6, 3, strides=(1, 2, 2), padding="same", activation="relu", name="conv")(clips)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    net = keras.Model(clips, head(layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)), name="per_frame")
    return case(
        net,
        fields={"frames": (2, 6), "output": "logits"},
        score=lambda clips: tf.reduce_mean(net(clips, training=False)[:, 2:6], axis=1),
        targets=np.array([[0] * SHAPE[0], [2] * SHAPE[0]]),
    )


# Transformers -----------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("zoo")
class Positions(layers.Layer):
    """Adds a learned vector to each token."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal", name="table")

    def call(self, x):
        return x + self.table


def block(x, heads, width):
    """A pre-norm encoder block: attention, then two dense layers, each with a residual sum."""
    a = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(a, a)])
    b = layers.LayerNormalization(epsilon=1e-6)(x)
    b = layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(b))
    return layers.Add()([x, b])


def video_transformer():
    """An encoder over one token per frame, then the maximum over frames (keras.io)."""
    clips = keras.Input(SHAPE)
    frame = keras.Sequential(
        [layers.Conv2D(16, 5, strides=3, activation="relu", name="conv"), layers.GlobalMaxPooling2D()], name="frame"
    )
    x = Positions()(layers.TimeDistributed(frame, name="frames")(clips))
    net = keras.Model(clips, head(layers.GlobalMaxPooling1D()(block(x, 2, 16))), name="video_transformer")
    return case(net)


def tubelets(clips, width):
    """Tokens `(B, T', h', w', width)` of 2x8x8 pixels."""
    return layers.Conv3D(width, (2, 8, 8), strides=(2, 8, 8), name="tubelets")(clips)


def vivit():
    """ViViT, model 1: attention over all tubelets of space and time at once."""
    clips = keras.Input(SHAPE)
    x = layers.Reshape((-1, 16), name="tokens")(tubelets(clips, 16))
    x = block(block(Positions()(x), 2, 16), 2, 16)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6, name="last_norm")(x))
    return case(keras.Model(clips, head(x), name="vivit"))


def factorised_vivit():
    """ViViT, model 2: an encoder over the places of each time step, then one over the time steps."""
    clips = keras.Input(SHAPE)
    x = layers.Reshape((4, 16, 16), name="places")(tubelets(clips, 16))
    tokens = keras.Input((16, 16))
    spatial = keras.Model(tokens, layers.GlobalAveragePooling1D()(block(Positions()(tokens), 2, 16)), name="spatial")
    x = layers.TimeDistributed(spatial, name="each_step")(x)
    x = layers.GlobalAveragePooling1D()(block(Positions()(x), 2, 16))
    return case(keras.Model(clips, head(x), name="factorised_vivit"))


# Several inputs and outputs ---------------------------------------------------------------------------------------


def pathway(clips, filters, name):
    x = layers.Conv3D(filters, 3, strides=(1, 2, 2), padding="same", activation="relu", name=f"{name}_conv")(clips)
    return layers.Conv3D(filters, 3, padding="same", activation="relu", name=f"{name}_last")(x)


def two_stream():
    """Colours and differences of frames through two networks whose logits are averaged."""
    rgb, motion = keras.Input(SHAPE, name="rgb"), keras.Input((SHAPE[0] - 1, *SHAPE[1:]), name="motion")
    logits = [
        layers.Dense(CLASSES)(layers.GlobalAveragePooling3D()(pathway(x, 6, name)))
        for x, name in ((rgb, "rgb"), (motion, "motion"))
    ]
    net = keras.Model([rgb, motion], layers.Average()(logits), name="two_stream")

    def difference(x):
        return x[:, 1:] - x[:, :-1]

    return case(
        net,
        fields={"clip": "rgb", "inputs": {"motion": difference}},
        inputs=lambda x: {"rgb": x, "motion": difference(x)},
    )


def slow_fast():
    """A slow pathway of every fourth frame with lateral connections from the fast one."""
    slow, fast = keras.Input((2, *SHAPE[1:]), name="slow"), keras.Input(SHAPE, name="fast")
    from_fast = pathway(fast, 4, "fast")
    lateral = layers.Conv3D(4, (5, 1, 1), strides=(4, 1, 1), padding="same", name="lateral")(from_fast)
    x = layers.Conv3D(8, (1, 3, 3), strides=(1, 2, 2), padding="same", activation="relu", name="slow_conv")(slow)
    x = layers.Conv3D(8, 3, padding="same", activation="relu", name="slow_last")(layers.Concatenate()([x, lateral]))
    pooled = [layers.GlobalAveragePooling3D()(y) for y in (x, from_fast)]
    net = keras.Model([slow, fast], head(layers.Concatenate()(pooled)), name="slow_fast")
    return case(
        net,
        fields={"clip": "fast", "inputs": {"slow": lambda x: x[:, ::4]}},
        inputs=lambda x: {"fast": x, "slow": x[:, ::4]},
    )


def multi_label():
    """Independent classes by a sigmoid that is an operation, not a layer's activation."""
    clips = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling3D()(pathway(clips, 6, "only"))
    logits = head(x)
    net = keras.Model(clips, ops.sigmoid(logits), name="multi_label")
    before = keras.Model(clips, logits)
    return case(
        net,
        score=lambda clips: before(clips, training=False),
        targets=np.array([[1.0, 0, 1], [0, 1, 1]], np.float32),
        loss="binary_crossentropy",
    )


MODELS = {
    build.__name__: build
    for build in (
        *(cnn_rnn, conv_lstm_next_frame, per_frame, video_transformer, vivit, factorised_vivit),
        *(two_stream, slow_fast, multi_label, mobilenet_lstm, efficientnet_lstm, resnet50_lstm),
    )
}


def clips_of(a_case, num_clips=2, seed=0):
    """Random clips in [0, 1], NumPy `(B, T, H, W, C)`."""
    return np.random.default_rng(seed).random((num_clips, *a_case.shape), np.float32)
