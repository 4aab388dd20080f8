"""`VideoModel`: models of other inputs, layouts and outputs have the scores and gradients of plain TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.models.loaded import load_model_as
from tfvid.network.classifier import Classifier
from tfvid.network.described import in_batches
from tfvid.network.layout import Layout

SHAPE = (4, 6, 5, 3)
CLIPS = np.random.default_rng(0).random((3, *SHAPE), np.float32)


def network(shape=SHAPE, batch=None, head="linear", classes=3, before=None):
    """A small 3-D network of clips (T, H, W, C); `before` is a layer that arranges its input so."""
    clips = keras.Input(batch_shape=(batch, *shape), name="clip")
    x = clips if before is None else before(clips)
    x = layers.GlobalAveragePooling3D()(layers.Conv3D(4, 3, padding="same", activation="relu", name="conv")(x))
    model = keras.Model(clips, layers.Dense(classes, activation=head, name="head")(x))
    rng = np.random.default_rng(1)
    for name in ("conv", "head"):
        kernel = model.get_layer(name).kernel
        kernel.assign(rng.normal(0, 0.5, kernel.shape))
    return model


def gradient_of(score, clips=CLIPS):
    """The gradient of a scalar per clip, by a plain tape: `(B, T, H, W)`, the largest absolute value over colours."""
    clips = tf.constant(clips)
    with tf.GradientTape() as tape:
        tape.watch(clips)
        value = tf.reduce_sum(score(clips))
    return np.abs(tape.gradient(value, clips)).max(axis=-1)


def assert_explains(video_model, score, clips=CLIPS, **options):
    """The gradient of `video_model` is that of `score`, and so is the score it states."""
    result = tfvid.Gradient(video_model, **options)(clips)
    np.testing.assert_allclose(result.score, score(tf.constant(clips)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.attribution, gradient_of(score, clips), rtol=1e-4, atol=1e-7)
    return result


# Layouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["THWC", "CTHW", "HWTC", "TCHW", "WHCT"])
def test_a_layout_orders_the_axes(pattern):
    arranged = Layout(pattern).arranged(tf.constant(CLIPS)).numpy()
    index = {"T": 2, "H": 5, "W": 1, "C": 0}
    place = (1, *(index[letter] for letter in pattern))
    assert arranged[place] == CLIPS[1, 2, 5, 1, 0]
    assert arranged.shape == (3, *(dict(zip("THWC", SHAPE, strict=True))[letter] for letter in pattern))
    assert Layout(pattern).clip_shape(arranged.shape) == SHAPE


def test_frames_may_be_part_of_the_batch():
    arranged = Layout("(BT)CHW").arranged(tf.constant(CLIPS)).numpy()
    np.testing.assert_array_equal(arranged[4 + 2], CLIPS[1, 2].transpose(2, 0, 1))
    assert Layout("(BT)CHW").clip_shape((None, 3, 6, 5)) == (None, 6, 5, 3)


@pytest.mark.parametrize("pattern", ["BTHWC", "THW1", "TTHW", "", "(BT)THWC", "thwc"])
def test_another_layout_is_refused(pattern):
    with pytest.raises(TfvidError, match="layout: expected an order of axes such as 'THWC', 'CTHW'"):
        tfvid.VideoModel(network(), layout=pattern)


LAYOUTS = {"CTHW": (2, 3, 4, 1), "HWTC": (3, 1, 2, 4), "TCHW": (1, 3, 4, 2)}


@pytest.mark.parametrize("pattern", LAYOUTS)
def test_a_model_of_another_layout_is_explained_as_the_plain_one(pattern):
    plain = network()
    shape = [dict(zip("THWC", SHAPE, strict=True))[letter] for letter in pattern]
    model = network(shape, before=layers.Permute(LAYOUTS[pattern]))
    assert_explains(tfvid.VideoModel(model, layout=pattern), lambda x: tf.reduce_max(plain(x), axis=1))


def test_the_wrong_layout_is_refused_with_the_field_to_set():
    with pytest.raises(TfvidError, match=r"the model takes clips of shape \(None, 3, 4, 6, 5\).*layout='CTHW'"):
        tfvid.Gradient(network((3, 4, 6, 5)))(CLIPS)
    with pytest.raises(ModelError, match=r"layout '\(BT\)HWC' has 4 axes with the batch, and the model's input 'clip'"):
        tfvid.Gradient(tfvid.VideoModel(network(), layout="(BT)HWC"))(CLIPS)


def test_a_model_of_single_frames():
    frames = keras.Input((6, 5, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(frames))
    model = keras.Model(frames, layers.Dense(3)(x))

    def score(clips):
        return tf.reduce_max(tf.reduce_mean(tf.reshape(model(tf.reshape(clips, (-1, 6, 5, 3))), (3, 4, 3)), 1), 1)

    assert_explains(tfvid.VideoModel(model, layout="(BT)HWC", frames="all"), score)


def test_grey_models():
    grey = network((4, 6, 5, 1))
    luma = tf.constant([0.299, 0.587, 0.114])
    video_model = tfvid.VideoModel(grey, channels="grey")
    assert_explains(video_model, lambda x: tf.reduce_max(grey(tf.tensordot(x, luma, 1)[..., None]), 1))
    without = network((4, 6, 5), before=layers.Reshape((4, 6, 5, 1)))
    without.set_weights(grey.get_weights())
    assert_explains(
        tfvid.VideoModel(without, layout="THW", channels="grey"),
        lambda x: tf.reduce_max(grey(tf.tensordot(x, luma, 1)[..., None]), 1),
    )
    with pytest.raises(TfvidError, match="layout 'THW' has no axis for colours, and the clips have 3 channels"):
        Layout("THW").arranged(tf.constant(CLIPS))
    with pytest.raises(TfvidError, match=r"takes clips of shape \(None, 4, 6, 5, 1\).*channels='grey'"):
        tfvid.Gradient(tfvid.VideoModel(without, layout="THW"))(CLIPS)


# Batch sizes, dtypes, ranges --------------------------------------------------------------------------------------


class OfTwo(layers.Layer):
    """Works for exactly two clips."""

    def call(self, x):
        return tf.reshape(x, (2, *SHAPE))


@pytest.mark.parametrize(("before", "batch_size"), [(None, None), (OfTwo(), 2)])
def test_a_fixed_batch_size_is_filled_up(before, batch_size):
    plain = network()
    video_model = tfvid.VideoModel(network(batch=2, before=before))
    assert_explains(video_model, lambda x: tf.reduce_max(plain(x), axis=1))
    assert video_model.network.batch_size == batch_size
    searched = tfvid.TemporalMask(video_model, method="search")(CLIPS)
    np.testing.assert_array_equal(searched.mask, tfvid.TemporalMask(plain, method="search")(CLIPS).mask)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 7), st.integers(1, 4))
def test_batches_of_any_size_give_the_same_scores(count, batch_size):
    clips = tf.range(count * 2, dtype=tf.float32)[:, tf.newaxis] ** 2
    clips = tf.reshape(clips, (count, 1, 1, 1, 2))

    def exactly(chunk):
        assert chunk.shape[0] == batch_size
        return tf.reduce_sum(chunk, axis=(1, 2, 3))

    np.testing.assert_array_equal(in_batches(exactly, clips, batch_size), clips.numpy().sum(axis=(1, 2, 3)))


def test_a_model_of_bytes_gets_rounded_values():
    given = keras.Input(SHAPE, dtype="uint8")
    model = keras.Model(given, layers.Dense(3)(layers.Flatten()(layers.Rescaling(1 / 255)(given))))
    video_model = tfvid.VideoModel(model, input_range=(0, 255))
    classifier = Classifier(video_model)
    classifier.prepare(tf.constant(CLIPS))
    bytes_ = np.round(CLIPS * 255).astype(np.uint8)
    np.testing.assert_allclose(classifier.logits(tf.constant(CLIPS)), model(bytes_), rtol=1e-5)
    with pytest.raises(ModelError, match="the class scores have no gradient at the clips' pixels; use a method that"):
        tfvid.Gradient(video_model)(CLIPS)
    assert tfvid.Occlusion(video_model, window=(4, 3, 5), stride=(4, 3, 5))(CLIPS).attribution.any()


def test_clips_in_bytes_are_pictures_where_the_range_is_known():
    model = network()
    bytes_ = np.round(CLIPS * 255).astype(np.uint8)
    explained = tfvid.Gradient(tfvid.VideoModel(model, input_range=(-1, 1)))(bytes_)
    np.testing.assert_allclose(explained.score, model(bytes_ / np.float32(127.5) - 1).numpy().max(axis=1), rtol=1e-5)
    with pytest.raises(TfvidError, match="expected float clips"):
        tfvid.Gradient(model)(bytes_)


def test_preprocessing_runs_in_the_models_range():
    model = network()
    steps = tfvid.preprocess.chain(tfvid.preprocess.normalize((110, 120, 130), 50), lambda x: x[:, :, ::-1])
    video_model = tfvid.VideoModel(model, preprocess=steps, input_range=(0, 255), channels="bgr")
    means = tf.constant([110.0, 120.0, 130.0])
    assert_explains(
        video_model, lambda x: tf.reduce_max(model(((255 * x[..., ::-1] - means) / 50)[:, :, ::-1]), axis=1)
    )


def test_resizing_letterboxing_and_cropping():
    clips = tf.constant(np.random.default_rng(0).random((1, 2, 4, 8, 3), np.float32))
    boxed = tfvid.preprocess.letterbox((8, 8), value=0.5)(clips).numpy()
    np.testing.assert_array_equal(boxed[:, :, 2:6], clips)
    assert (boxed[:, :, :2] == 0.5).all() and (boxed[:, :, 6:] == 0.5).all()
    np.testing.assert_array_equal(tfvid.preprocess.center_crop((2, 4))(clips), clips[:, :, 1:3, 2:6])
    np.testing.assert_allclose(
        tfvid.preprocess.resize((2, 4))(clips)[0, 1], tf.image.resize(clips[0, 1], (2, 4)), rtol=1e-6
    )
    with pytest.raises(TfvidError, match="center_crop: expected frames of 5x4 or more, got 4x8"):
        tfvid.preprocess.center_crop((5, 4))(clips)


# Several inputs ---------------------------------------------------------------------------------------------------


def two_streams(names=("slow", "fast"), frames=(2, 4)):
    given = [keras.Input((count, *SHAPE[1:]), name=name) for name, count in zip(names, frames, strict=True)]
    pooled = [layers.GlobalAveragePooling3D()(layers.Conv3D(3, 3, padding="same")(x)) for x in given]
    return keras.Model(given, layers.Dense(3)(layers.Concatenate()(pooled)))


@pytest.mark.parametrize("fields", [{}, {"clip": "fast"}])
def test_a_second_frame_rate(fields):
    model = two_streams()
    video_model = tfvid.VideoModel(model, inputs={"slow": lambda x: x[:, ::2]}, **fields)
    assert_explains(video_model, lambda x: tf.reduce_max(model([x[:, ::2], x]), axis=1))


def test_inputs_by_place_and_constants():
    model = two_streams(frames=(4, 4))
    flow = np.random.default_rng(3).random(SHAPE)
    video_model = tfvid.VideoModel(model, clip=1, inputs={0: flow})
    constant = tf.repeat(tf.constant(flow, tf.float32)[None], 3, axis=0)
    assert_explains(video_model, lambda x: tf.reduce_max(model([constant, x]), axis=1))


def test_a_dict_model_with_a_mask_of_frames():
    class Masked(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs, training=False):
            weights = tf.cast(inputs["mask"], tf.float32)[..., tf.newaxis]
            return self.dense(tf.reduce_sum(tf.reduce_mean(inputs["video"], axis=(2, 3)) * weights, axis=1))

    model = Masked()
    video_model = tfvid.VideoModel(model, clip="video", inputs={"mask": [True, False, True, True]})
    kept = tf.constant([1.0, 0, 1, 1])
    assert_explains(
        video_model,
        lambda x: tf.reduce_max(model.dense(tf.einsum("bthwc,t->bc", x, kept) / 30), axis=1),
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "the model has the inputs slow, fast; set clip= to the one that gets the clip"),
        ({"inputs": {"slo": 1}}, "inputs: the model has no input 'slo'; it has slow, fast"),
        ({"clip": "fast", "inputs": {"fast": 1}}, "input 'fast' gets the clip, and `inputs` names it, too"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(fields, message):
    with pytest.raises(TfvidError, match=message) as error:
        tfvid.Gradient(tfvid.VideoModel(two_streams(), **fields))(CLIPS)
    assert "\n" not in str(error.value)


def test_without_a_description_the_message_names_the_way_out():
    with pytest.raises(ModelError, match=r"tfvid.VideoModel\(model, clip='slow', inputs=...\)"):
        tfvid.Gradient(two_streams())(CLIPS)


# Outputs ----------------------------------------------------------------------------------------------------------


def test_one_of_several_outputs():
    clips = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling3D()(clips)
    model = keras.Model(clips, {"verb": layers.Dense(3, name="verb")(x), "noun": layers.Dense(5, name="noun")(x)})
    assert_explains(tfvid.VideoModel(model, head="noun"), lambda x: tf.reduce_max(model(x)["noun"], axis=1))
    for head in (None, "vreb"):
        with pytest.raises(ModelError, match="the model has (the outputs|no output).*verb, noun"):
            tfvid.Gradient(tfvid.VideoModel(model, head=head))(CLIPS)


def per_frame(activation="linear"):
    clips = keras.Input(SHAPE)
    x = layers.Conv3D(4, 3, padding="same", activation="relu", name="conv")(clips)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    return keras.Model(clips, layers.Dense(3, activation=activation)(x))


@pytest.mark.parametrize(("frames", "chosen"), [(2, slice(2, 3)), ((1, 3), slice(1, 3)), ("all", slice(None))])
def test_scores_of_frames(frames, chosen):
    model = per_frame()
    score = lambda x: tf.reduce_max(tf.reduce_mean(model(x)[:, chosen], axis=1), axis=1)  # noqa: E731
    assert_explains(tfvid.VideoModel(model, frames=frames), score)


def test_frames_are_never_guessed():
    with pytest.raises(ModelError, match=r"the model returns scores of 4 frames, \(B, T, K\); set frames="):
        tfvid.Gradient(tfvid.VideoModel(per_frame()))(CLIPS)
    with pytest.raises(TfvidError, match="frames: the model returns scores of frames 0 to 3, got \\(2, 5\\)"):
        tfvid.Gradient(tfvid.VideoModel(per_frame(), frames=(2, 5)))(CLIPS)
    with pytest.raises(ModelError, match="frames: expected scores of each frame"):
        tfvid.Gradient(tfvid.VideoModel(network(), frames=1))(CLIPS)


def test_independent_sigmoids_stay_independent():
    for head, output in (("sigmoid", "auto"), ("linear", "sigmoid_logits")):
        model = network(head=head)
        classifier = Classifier(tfvid.VideoModel(model, output=output))
        classifier.prepare(tf.constant(CLIPS))
        expected = model(CLIPS) if head == "sigmoid" else tf.sigmoid(model(CLIPS))
        np.testing.assert_allclose(classifier.probabilities(CLIPS), expected, rtol=1e-6)
        odds = np.log(expected / (1 - expected.numpy()))
        np.testing.assert_allclose(classifier.logits(tf.constant(CLIPS)), odds, rtol=1e-3, atol=1e-5)


def test_a_sigmoid_that_is_an_operation_is_recognised():
    logits = network()
    model = keras.Model(logits.inputs, keras.ops.sigmoid(logits.outputs[0]))
    classifier = Classifier(model)
    classifier.prepare(tf.constant(CLIPS))
    assert classifier.output == "sigmoid"
    np.testing.assert_allclose(classifier.logits(tf.constant(CLIPS)), logits(CLIPS), rtol=1e-4, atol=1e-5)


def test_averaged_sigmoids_are_not_taken_for_logits_in_silence():
    logits = network()
    model = keras.Model(logits.inputs, keras.ops.sigmoid(logits.outputs[0]) * 1.0)
    with pytest.warns(RuntimeWarning, match="first scores lie in \\[0, 1\\] and do not sum to 1"):
        tfvid.Gradient(model)(CLIPS)
    classifier = Classifier(tfvid.VideoModel(model, output="sigmoid"))
    classifier.prepare(tf.constant(CLIPS))
    np.testing.assert_allclose(classifier.logits(tf.constant(CLIPS)), logits(CLIPS), rtol=1e-4, atol=1e-5)


def test_a_softmax_before_a_linear_activation_is_a_softmax():
    logits = network()
    outputs = layers.Activation("linear", dtype="float32")(layers.Softmax()(logits.outputs[0]))
    classifier = Classifier(keras.Model(logits.inputs, outputs))
    classifier.prepare(tf.constant(CLIPS))
    assert classifier.output == "probabilities"
    np.testing.assert_allclose(classifier.logits(tf.constant(CLIPS)), logits(CLIPS), rtol=1e-5)


def test_a_recurrent_layers_softmax_is_not_the_models():
    clips = keras.Input(SHAPE)
    x = layers.Reshape((4, 90))(clips)
    classifier = Classifier(keras.Model(clips, layers.LSTM(3, activation="softmax")(x)))
    with pytest.warns(RuntimeWarning, match="do not sum to 1"):
        classifier.prepare(tf.constant(CLIPS))
    assert classifier.output == "logits"


# Scores -----------------------------------------------------------------------------------------------------------


def test_the_margin_between_two_classes():
    model = network()
    video_model = tfvid.VideoModel(model, score=tfvid.scores.margin(2, 0))
    result = assert_explains(video_model, lambda x: model(x)[:, 2] - model(x)[:, 0])
    assert result.predicted.tolist() == result.target.tolist() == [0, 0, 0]
    with pytest.raises(TfvidError, match="target: expected classes 0 to 0, got 1"):
        tfvid.Gradient(video_model)(CLIPS, target=1)


def test_a_search_by_a_score_below_zero_tries_all_windows():
    """A probability is never below 0, which ends the search early; a score may be."""
    events = tf.constant([0.0, 5.0, -9.0, 0.0])
    level = layers.Lambda(lambda x: tf.reduce_mean(x, axis=(2, 3, 4)))
    clips = keras.Input(SHAPE)
    model = keras.Model(clips, level(clips))
    score = lambda outputs: tf.reduce_sum(outputs * events, axis=1)  # noqa: E731
    clip = np.zeros((1, *SHAPE), np.float32)
    clip[0] += np.array([0.2, 0.9, 0.1, 0.6]).reshape(-1, 1, 1, 1)
    result = tfvid.TemporalMask(tfvid.VideoModel(model, score=score), method="search")(clip)
    by_hand = {}
    for start in range(4):
        for stop in range(start + 1, 5):
            mask = np.zeros((1, 4), np.float32)
            mask[:, start:stop] = 1
            frozen = tfvid.freeze(clip, mask)
            length, edges = 0.01 * (stop - start), 2 * np.abs(np.diff(mask[0])).sum()
            edges -= abs(mask[0, 1] - mask[0, 0]) + abs(mask[0, 3] - mask[0, 2])
            by_hand[start, stop] = length + 0.02 * edges + float(score(model(frozen))[0])
    np.testing.assert_allclose(result.loss[0], min(by_hand.values()), atol=1e-5)


def test_dense_outputs_are_explained_by_their_likeness_to_an_answer():
    clips = keras.Input(SHAPE)
    model = keras.Model(clips, layers.Conv3D(3, 3, padding="same", activation="relu", name="next")(clips))
    answer = model(CLIPS)[0]
    video_model = tfvid.VideoModel(model, score=tfvid.scores.similarity(answer))
    score = lambda x: -tf.reduce_mean((model(x) - answer) ** 2, axis=(1, 2, 3, 4))  # noqa: E731
    assert assert_explains(video_model, score).score[0] == 0
    assert tfvid.GradCAM(video_model)(CLIPS).attribution.shape == CLIPS.shape[:-1]
    with pytest.raises(ModelError, match=r"expected class scores \(B, K\).*set score= to a function of them"):
        tfvid.Gradient(tfvid.VideoModel(model))(CLIPS)


def test_the_power_of_a_pulse():
    time = np.arange(60) / 30
    signal = np.stack([np.sin(2 * np.pi * 1.5 * time) + 7, np.sin(2 * np.pi * 6 * time)])
    share = tfvid.scores.band_power(30, 0.7, 4)(tf.constant(signal[..., None], tf.float32))
    np.testing.assert_allclose(share, [1, 0], atol=1e-6)
    with pytest.raises(TfvidError, match="band_power: expected fps > 0"):
        tfvid.scores.band_power(0, 1, 2)


def test_a_score_of_another_shape_is_refused():
    with pytest.raises(ModelError, match=r"score: expected one number per clip, float \(B,\), got \(None, 3\)"):
        tfvid.Gradient(tfvid.VideoModel(network(), score=lambda outputs: outputs))(CLIPS)
    with pytest.raises(TfvidError, match="leaves no use for `frames` and `output`"):
        tfvid.VideoModel(network(), score=tfvid.scores.unit(), frames=1)


# Everything takes one ---------------------------------------------------------------------------------------------


def test_functions_of_numpy_clips():
    plain = network()
    function = lambda x: plain(np.transpose(x, (0, 2, 3, 4, 1))).numpy()  # noqa: E731
    video_model = tfvid.VideoModel(function, layout="CTHW", input_range=(0, 255))
    options = {"window": (2, 3, 5), "stride": (2, 3, 5)}
    tfvid.declare(plain, input_range=(0, 255))
    np.testing.assert_allclose(
        tfvid.Occlusion(video_model, **options)(CLIPS).attribution,
        tfvid.Occlusion(plain, **options)(CLIPS).attribution,
        rtol=1e-4,
        atol=1e-6,
    )


def test_layers_keep_their_paths():
    explain = tfvid.GradCAM(tfvid.VideoModel(network()))
    plain = tfvid.GradCAM(network())
    np.testing.assert_array_equal(explain(CLIPS).attribution, plain(CLIPS).attribution)
    assert explain.layer == plain.layer == "conv"


def test_metrics_take_a_description():
    model = network(head="softmax")
    video_model = tfvid.VideoModel(model)
    maps = tfvid.Gradient(model)(CLIPS).attribution
    target = model(CLIPS).numpy().argmax(axis=1)
    np.testing.assert_array_equal(
        tfvid.metrics.deletion(video_model, CLIPS, maps, target), tfvid.metrics.deletion(model, CLIPS, maps, target)
    )
    counted = tfvid.metrics.cost.cost(tfvid.Gradient, video_model, CLIPS)
    assert (counted.forward_passes, counted.backward_passes) == (1, 1)


def test_the_callback_takes_a_description_of_the_model_in_training(tmp_path):
    model = two_streams()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    video_model = tfvid.VideoModel(model, inputs={"slow": lambda x: x[:, ::2]})
    logger = tfvid.ExplanationLogger(["gradient"], CLIPS, tmp_path, video_model=video_model)
    model.fit([CLIPS[:, ::2], CLIPS], np.array([0, 1, 2]), epochs=1, verbose=0, callbacks=[logger])
    assert len(logger.table) == 6
    other = tfvid.ExplanationLogger(["gradient"], CLIPS, tmp_path / "b", video_model=tfvid.VideoModel(two_streams()))
    with pytest.raises(TfvidError, match="expected a description of the model in training"):
        model.fit([CLIPS[:, ::2], CLIPS], np.array([0, 1, 2]), verbose=0, callbacks=[other])


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="model: expected a Keras model or a function of clips, got str"):
        tfvid.VideoModel("model.keras")


# Files and commands -----------------------------------------------------------------------------------------------


def test_a_card_says_the_same(tmp_path):
    model = network((3, 4, 6, 5), before=layers.Permute(LAYOUTS["CTHW"]))
    model.save(tmp_path / "model.keras")
    card = tfvid.ModelCard("net", ("a", "b", "c"), 4, (6, 5), input_range=(0, 255), layout="CTHW")
    (tmp_path / "card.json").write_text(card.to_json())
    loaded, read = load_model_as(tmp_path / "model.keras")
    assert read == card and loaded.class_names == card.class_names
    plain = network()
    assert_explains(loaded, lambda x: tf.reduce_max(plain(255 * x), axis=1))
    (tmp_path / "card.json").write_text(card.to_json().replace('"CTHW"', "4"))
    with pytest.raises(ModelError, match="field 'layout': a value of the wrong type; expected an order of axes"):
        load_model_as(tmp_path / "model.keras")


def test_a_function_in_a_file_describes_the_rest(tmp_path):
    model = two_streams()
    model.save(tmp_path / "model.keras")
    own = tmp_path / "own.py"
    own.write_text("import tfvid\ndef describe(m): return tfvid.VideoModel(m, inputs={'slow': lambda x: x[:, ::2]})")
    loaded, card = load_model_as(tmp_path / "model.keras", describe=f"{own}:describe")
    assert (card.class_names, card.num_frames, card.size) == (("class 0", "class 1", "class 2"), 4, (6, 5))
    assert_explains(loaded, lambda x: tf.reduce_max(model([x[:, ::2], x]), axis=1))
    own.write_text("def describe(m): return m.name")
    with pytest.raises(ModelError, match="own.py:describe: expected a function that returns a tfvid.VideoModel"):
        load_model_as(tmp_path / "model.keras", describe=f"{own}:describe")


def test_a_described_model_is_exported_with_its_conversions(tmp_path):
    model = network((3, 4, 6, 5), head="softmax", before=layers.Permute(LAYOUTS["CTHW"]))
    video_model = tfvid.VideoModel(model, layout="CTHW")
    folder = tfvid.export.save(video_model, tmp_path / "1", mask={"iterations": 2}, grad_cam={"layer": "conv"})
    answers = tf.saved_model.load(str(folder)).signatures["serving_default"](clips=tf.constant(CLIPS))
    np.testing.assert_allclose(answers["probabilities"], model(CLIPS.transpose(0, 4, 1, 2, 3)), rtol=1e-5)
