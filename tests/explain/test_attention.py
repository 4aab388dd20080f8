"""Explanations by attention, against float64 NumPy on the weights of small video transformers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import video_transformers
from keras import layers
from video_transformers import BUILDS, GRID, WIDTH, build, clips

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.testing import check_explainer

METHODS = ("attention_rollout", "attention_relevance", "attention_maps")
READABLE = [name for name in BUILDS if name != "windows"]


def weights_of(model, x, target=None):
    """The weights of every attention, float64, by a plain run of the model; with their gradients for a class."""
    seen = []
    softmax = tf.nn.softmax

    def watching(logits, *args, **kwargs):
        weights = softmax(logits, *args, **kwargs)
        if len(weights.shape) > 2:
            tape.watch(weights)
            seen.append(weights)
        return weights

    with tf.GradientTape() as tape, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.nn, "softmax", watching)
        scores = model(x)
        score = None if target is None else scores[:, target]
    gradients = [None] * len(seen) if target is None else tape.gradient(score, seen)
    return [A.numpy().astype(float) for A in seen], [None if G is None else G.numpy().astype(float) for G in gradients]


def whole(name, number, A):
    """One attention as `(B, heads, N, N)` over all tokens, by loops over the tokens."""
    if name != "divided":
        return A
    heads, T, S = A.shape[1], GRID[0], GRID[1] * GRID[2]
    A = A.reshape(-1, S if number % 2 == 0 else T, *A.shape[1:])
    out = np.zeros((len(A), heads, T * S, T * S))
    for t in range(T):
        for s in range(S):
            for other in range(T if number % 2 == 0 else S):
                at = (other, s) if number % 2 == 0 else (t, other)
                weight = A[:, s, :, t, other] if number % 2 == 0 else A[:, t, :, s, other]
                out[:, :, t * S + s, at[0] * S + at[1]] = weight
    return out


def rollout(matrices, fuse=np.mean):
    R = np.eye(matrices[0].shape[-1])
    for A in matrices:
        A = 0.5 * fuse(A, axis=1) + 0.5 * np.eye(A.shape[-1])
        R = (A / A.sum(axis=-1, keepdims=True)) @ R
    return R


def relevance(matrices, gradients):
    R = np.eye(matrices[0].shape[-1])
    for A, G in zip(matrices, gradients, strict=True):
        R = R + np.maximum(A * G, 0).mean(axis=1) @ R
    return R - np.eye(len(R[0]))


def read(name, R):
    """What the classifier reads, on the grid."""
    if name == "joint":
        row = R[:, 0, 1:]
    elif name == "trailing":
        row = R[:, -1, :-2]
    else:
        row = R.mean(axis=1)
    return row.reshape(-1, *GRID)


EQUATIONS = [
    name if name == "joint" else pytest.param(name, marks=pytest.mark.long) for name in READABLE if name != "factorised"
]


@pytest.mark.parametrize("name", EQUATIONS)
def test_equals_the_equations_in_numpy(name):
    model, x = build(name), clips(3)
    A, G = weights_of(model, x, 1)
    matrices = [whole(name, number, one) for number, one in enumerate(A)]
    gradients = [whole(name, number, one) for number, one in enumerate(G)]
    for heads, fuse in (("mean", np.mean), ("min", np.min), ("max", np.max)):
        result = tfvid.AttentionRollout(model, heads=heads)(x)
        np.testing.assert_allclose(result.native, read(name, rollout(matrices, fuse)), rtol=1e-4, atol=1e-6)
    result = tfvid.AttentionRelevance(model)(x, 1)
    np.testing.assert_allclose(result.native, read(name, relevance(matrices, gradients)), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(result.score, model(x)[:, 1], rtol=1e-5, atol=1e-6)
    for block, one in enumerate(matrices):
        for head in range(2):
            found = tfvid.AttentionMaps(model, block=block, head=head)(x).native
            np.testing.assert_allclose(found, read(name, one[:, head]), rtol=1e-4, atol=1e-7)


def test_a_factorised_model_is_the_product_of_frames_and_time():
    model, x = build("factorised"), clips(2)
    (space, time), (space_gradient, time_gradient) = weights_of(model, x, 2)
    for method, R in (
        ("attention_rollout", (rollout([space]), rollout([time]))),
        ("attention_relevance", (relevance([space], [space_gradient]), relevance([time], [time_gradient]))),
    ):
        of_space = R[0][:, 0, 1:].reshape(2, 2, 2, 2)
        of_time = R[1][:, 0, 1:].reshape(2, 2, 1, 1)
        native = tfvid.explainer(method, model)(x, 2).native
        np.testing.assert_allclose(native, of_space * of_time, rtol=1e-3, atol=1e-8)


def test_one_block_of_two_tokens_by_hand():
    """Weights (3/4, 1/4) for both tokens: rollout is half of them plus half of the identity, by rows."""
    frames = keras.Input((2, 1, 1, 1))
    tokens = layers.Reshape((2, 1))(frames)
    attend = layers.MultiHeadAttention(1, 1, name="attend")
    x = layers.Add()([tokens, attend(tokens, tokens)])
    model = keras.Model(frames, layers.Dense(2, name="head")(layers.Flatten()(x)))
    q, qb, k, kb, *_ = attend.weights
    q.assign(0 * q), qb.assign([[1.0]]), k.assign([[[1.0]]]), kb.assign(0 * kb)  # the logit of a key is its value
    clip = np.array([np.log(3.0), 0.0], np.float32).reshape(1, 2, 1, 1, 1)
    maps = tfvid.AttentionMaps(model, input_range=None)(clip)
    np.testing.assert_allclose(maps.native.ravel(), [0.75, 0.25], rtol=1e-6)
    rolled = tfvid.AttentionRollout(model, input_range=None)(clip)
    np.testing.assert_allclose(rolled.native.ravel(), [(0.875 + 0.375) / 2, (0.125 + 0.625) / 2], rtol=1e-6)


def test_a_class_that_depends_on_one_token_by_attention():
    """The last block's values pass one token's feature to the class token, and nothing else."""
    model, x = build("pooled"), clips(2)
    rolled = tfvid.AttentionRollout(model)(x)
    np.testing.assert_allclose(rolled.native.sum(axis=(1, 2, 3)), 1, rtol=1e-5)  # rows of a rollout sum to 1
    first, second = (tfvid.AttentionRelevance(model)(x, target) for target in (0, 1))
    assert np.abs(first.native - second.native).max() > 1e-4  # the relevance depends on the class
    np.testing.assert_array_equal(rolled.native, tfvid.AttentionRollout(model)(x, 1).native)  # the rollout does not


def test_discarded_weights():
    model, x = build("joint"), clips(1)
    A, _ = weights_of(model, x)
    kept = []
    for one in A:
        mean = one.mean(axis=1, keepdims=True)
        kept.append(np.where(mean < np.sort(mean.ravel())[int(0.5 * 81)], 0, mean))
    native = tfvid.AttentionRollout(model, discard=0.5)(x).native
    np.testing.assert_allclose(native, read("joint", rollout(kept)), rtol=1e-4, atol=1e-6)
    with pytest.raises(TfvidError, match="discard: expected a share in"):
        tfvid.AttentionRollout(model, discard=1.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_public_contract(method):
    check_explainer(method, model=build("joint"), clips=clips(3))


QUICK = ("joint", "hand_written")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in READABLE]
)
def test_every_build_gets_maps_of_its_own_size(method, name):
    explain = tfvid.explainer(method, build(name))
    result = explain(clips(2))
    assert result.attribution.shape == (2, 4, 8, 8)
    assert np.isfinite(result.attribution).all() and (result.attribution >= 0).all()
    assert result.attribution.max() == pytest.approx(1) or not result.attribution.any()
    assert explain.explained.startswith("attention of ")


@pytest.mark.parametrize("method", METHODS[:2])
def test_attention_that_has_no_known_place_is_refused_in_one_line(method):
    with pytest.raises(ModelError, match=r"layer 'shifted/mha': it is not known how its attention .* 'grad_cam'"):
        tfvid.explainer(method, build("windows"))(clips(1))


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_attention_is_refused(method):
    frames = keras.Input(video_transformers.SHAPE)
    x = layers.GlobalAveragePooling3D()(layers.Conv3D(WIDTH, 3)(frames))
    with pytest.raises(ModelError, match="the model has no attention over tokens of the clip; use a method that"):
        tfvid.explainer(method, keras.Model(frames, layers.Dense(3)(x)))(clips(1))


def test_options_that_do_not_fit():
    model, x = build("pooled"), clips(1)
    with pytest.raises(ModelError, match="head_reads='class_token': the model has no class token"):
        tfvid.AttentionRollout(model, head_reads="class_token")(x)
    with pytest.raises(TfvidError, match="block: the model has attentions 0 to 1, got 2"):
        tfvid.AttentionMaps(model, block=2)(x)
    with pytest.raises(TfvidError, match="head: the attention has heads 0 to 1, got 5"):
        tfvid.AttentionMaps(model, head=5)(x)


class HandWritten(layers.Layer):
    """The weights of attention, a softmax written as exp and sum."""

    def build(self, shape):
        self.keys = self.add_weight(shape=(shape[-1], shape[-1]), name="keys")

    def call(self, tokens):
        e = tf.exp(tf.matmul(tokens, tf.matmul(tokens, self.keys), transpose_b=True))
        return e / tf.reduce_sum(e, axis=-1, keepdims=True)


def test_hand_written_attention_is_named():
    """Two layers that return weights: in NumPy; and what is no attention."""
    inputs = keras.Input(video_transformers.SHAPE)
    x = video_transformers.embed(inputs)
    weights = []
    for name in ("first", "second"):
        weights.append(HandWritten(name=name)(x))
        x = layers.Add()([x, layers.Dot((2, 1))([weights[-1], x])])
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(x)))
    clip, names = clips(2), ["first", "second"]
    with pytest.raises(ModelError, match="the model has no attention over tokens"):
        tfvid.AttentionRollout(model)(clip)
    matrices = [A.numpy().astype(float)[:, None] for A in keras.Model(inputs, weights)(clip)]
    expected = rollout(matrices).mean(axis=1).reshape(2, *GRID)
    np.testing.assert_allclose(tfvid.AttentionRollout(model, attention=names)(clip).native, expected, rtol=1e-4)
    last = matrices[1].mean(axis=(1, 2)).reshape(2, *GRID)
    np.testing.assert_allclose(tfvid.AttentionMaps(model, attention="second")(clip).native, last, rtol=1e-4)
    with pytest.raises(ModelError, match="unknown layer 'frist'; did you mean 'first'"):
        tfvid.AttentionMaps(model, attention=["frist"])(clip)
    with pytest.raises(ModelError, match="layer 'head' contains no softmax over tokens; expected one that runs once"):
        tfvid.AttentionMaps(model, attention=["head"])(clip)
