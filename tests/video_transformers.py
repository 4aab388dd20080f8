"""Small video transformers of every build: clips (B, 4, 8, 8, 1) on tokens (2, 2, 2), to three classes."""

import keras
import numpy as np
from keras import layers, ops

SHAPE = (4, 8, 8, 1)
GRID = (2, 2, 2)
TUBELET = (2, 4, 4)
WIDTH = 8


def clips(num_clips=2, seed=0):
    return np.random.default_rng(seed).random((num_clips, *SHAPE), np.float32)


class ClassToken(layers.Layer):
    """Adds learned tokens before or after the others."""

    def __init__(self, count=1, last=False, **options):
        super().__init__(**options)
        self.count, self.last = count, last

    def build(self, shape):
        self.token = self.add_weight(shape=(1, self.count, shape[-1]), initializer="random_normal", name="token")

    def call(self, tokens):
        token = ops.broadcast_to(self.token, (ops.shape(tokens)[0], self.count, tokens.shape[-1]))
        return ops.concatenate([tokens, token] if self.last else [token, tokens], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + self.count, shape[2])


class Positions(layers.Layer):
    """Adds a learned vector to each token."""

    def build(self, shape):
        self.vectors = self.add_weight(shape=(1, *shape[1:]), initializer="random_normal", name="vectors")

    def call(self, tokens):
        return tokens + self.vectors


def embed(inputs):
    """Tokens (B, 8, D) of a tubelet convolution."""
    x = layers.Conv3D(WIDTH, TUBELET, strides=TUBELET, name="tubelets")(inputs)
    return layers.Reshape((-1, WIDTH), name="tokens")(x)


def block(x, name, heads=2, attend=None):
    """A block with the normalisation first, of Keras' own layers."""
    y = layers.LayerNormalization(name=f"{name}_norm1")(x)
    y = attend(y, name) if attend else layers.MultiHeadAttention(heads, WIDTH // heads, name=f"{name}_attention")(y, y)
    x = layers.Add(name=f"{name}_add1")([x, y])
    y = layers.LayerNormalization(name=f"{name}_norm2")(x)
    y = layers.Dense(WIDTH, activation="gelu", name=f"{name}_mlp")(y)
    return layers.Add(name=f"{name}_add2")([x, y])


def joint(head="class", count=1, last=False, heads=2, blocks=2):
    """Joint attention over all tokens, with a class token, or pooled."""
    inputs = keras.Input(SHAPE)
    x = embed(inputs)
    if head == "class":
        x = ClassToken(count, last, name="class_token")(x)
    x = Positions(name="positions")(x)
    for number in range(1, blocks + 1):
        x = block(x, f"block{number}", heads)
    x = layers.LayerNormalization(name="norm")(x)
    x = x[:, -1 if last else 0] if head == "class" else layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="joint")


def pooled():
    return joint("pooled")


def trailing():
    """Two class tokens, at the end."""
    return joint(count=2, last=True)


class Divided(layers.Layer):
    """A block with attention over time at each place, then over the places of each frame; tokens (B, T', N, D)."""

    def __init__(self, **options):
        super().__init__(**options)
        self.norms = [layers.LayerNormalization(name=f"norm_{kind}") for kind in ("time", "space", "mlp")]
        self.time, self.space = (layers.MultiHeadAttention(2, WIDTH // 2, name=kind) for kind in ("time", "space"))
        self.mlp = layers.Dense(WIDTH, name="mlp")

    def build(self, shape):
        for norm in self.norms:
            norm.build(shape)
        folded = (None, shape[1], shape[3])
        self.time.build(folded, folded)
        self.space.build((None, shape[2], shape[3]), (None, shape[2], shape[3]))
        self.mlp.build(shape)

    def call(self, x):
        steps, count = x.shape[1:3]
        y = ops.reshape(ops.transpose(self.norms[0](x), (0, 2, 1, 3)), (-1, steps, WIDTH))
        y = ops.reshape(self.time(y, y), (-1, count, steps, WIDTH))
        x = x + ops.transpose(y, (0, 2, 1, 3))
        y = ops.reshape(self.norms[1](x), (-1, count, WIDTH))
        x = x + ops.reshape(self.space(y, y), (-1, steps, count, WIDTH))
        return x + self.mlp(self.norms[2](x))


def divided():
    """Divided attention over space and time, pooled."""
    inputs = keras.Input(SHAPE)
    x = layers.Reshape((2, 4, WIDTH), name="per_frame")(embed(inputs))
    for number in (1, 2):
        x = Divided(name=f"block{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="divided")


def factorised():
    """A transformer over the places of each frame, then one over the class tokens of the frames."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(WIDTH, TUBELET, strides=TUBELET, name="tubelets")(inputs)
    x = ops.reshape(x, (-1, 4, WIDTH))
    x = block(ClassToken(name="frame_class")(x), "space")
    x = ops.reshape(x[:, 0], (-1, 2, WIDTH))
    x = block(ClassToken(name="clip_class")(x), "time")
    return keras.Model(inputs, layers.Dense(3, name="head")(x[:, 0]), name="factorised")


class HandWritten(layers.Layer):
    """Attention in a layer's own code, its softmax a layer."""

    def __init__(self, heads=2, own_softmax=False, **options):
        super().__init__(**options)
        self.heads, self.own_softmax = heads, own_softmax
        self.qkv, self.out = layers.Dense(3 * WIDTH, name="qkv"), layers.Dense(WIDTH, name="out")
        self.weights_layer = layers.Softmax(name="weights") if not own_softmax else Shares(name="weights")

    def build(self, shape):
        self.qkv.build(shape)
        self.out.build(shape)

    def call(self, x):
        count, each = x.shape[1], WIDTH // self.heads
        qkv = ops.transpose(ops.reshape(self.qkv(x), (-1, count, 3, self.heads, each)), (2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = self.weights_layer(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / each**0.5)
        y = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))
        return self.out(ops.reshape(y, (-1, count, WIDTH)))


class Shares(layers.Layer):
    """A softmax in plain operations."""

    def call(self, x):
        x = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
        return x / ops.sum(x, axis=-1, keepdims=True)


def hand_written(own_softmax=False):
    inputs = keras.Input(SHAPE)
    x = Positions(name="positions")(embed(inputs))
    for number in (1, 2):
        attend = lambda y, name: HandWritten(own_softmax=own_softmax, name=f"{name}_attention")(y)  # noqa: E731
        x = block(x, f"block{number}", attend=attend)
    x = layers.GlobalAveragePooling1D(name="mean")(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="hand_written")


class Windows(layers.Layer):
    """Attention in windows of half a frame's width, moved by one place if `shift`; tokens (B, T', H', W', D)."""

    def __init__(self, shift, **options):
        super().__init__(**options)
        self.shift = shift
        self.norm, self.attention = layers.LayerNormalization(name="norm"), layers.MultiHeadAttention(2, 4, name="mha")

    def build(self, shape):
        self.norm.build(shape)
        self.attention.build((None, 4, WIDTH), (None, 4, WIDTH))

    def call(self, x):
        steps, rows, columns = x.shape[1:4]
        y = self.norm(x)
        y = ops.roll(y, -1, axis=3) if self.shift else y
        y = ops.reshape(y, (-1, steps, rows, columns // 2, 2, WIDTH))
        y = ops.reshape(ops.transpose(y, (0, 3, 1, 2, 4, 5)), (-1, steps * rows * 2, WIDTH))
        y = ops.reshape(self.attention(y, y), (-1, columns // 2, steps, rows, 2, WIDTH))
        y = ops.reshape(ops.transpose(y, (0, 2, 3, 1, 4, 5)), (-1, steps, rows, columns, WIDTH))
        return x + (ops.roll(y, 1, axis=3) if self.shift else y)


def windows():
    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(WIDTH, (2, 4, 2), strides=(2, 4, 2), name="tubelets")(inputs)
    x = Windows(True, name="shifted")(Windows(False, name="plain")(x))
    x = layers.GlobalAveragePooling3D(name="mean")(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="windows")


BUILDS = {make.__name__: make for make in (joint, pooled, trailing, divided, factorised, hand_written, windows)}


def build(name, seed=0):
    """One of `BUILDS`, its weights drawn anew and large enough that scores differ between clips."""
    model, rng = BUILDS[name](), np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model
