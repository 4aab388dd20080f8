"""Models as people build them go through tfvid: the same scores and gradients as plain TensorFlow, or one line why not.

The whole contract for all models is `long`; three models are quick. `MODELS` needs no third-party package.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo.architectures import MODELS, Case, clips_of

import tfvid
from tfvid.core.errors import TfvidError
from tfvid.explain.methods import QUICK

QUICK_MODELS = ("cnn_rnn", "vivit", "slow_fast")
ALL = [name if name in QUICK_MODELS else pytest.param(name, marks=pytest.mark.long) for name in MODELS]
LONG = pytest.mark.long
DEEP = ("mobilenet_lstm", "efficientnet_lstm", "resnet50_lstm")
SMALL = [name for name in MODELS if name not in DEEP]  # tests but that of the gradients take minutes for the others
# One method of each way to explain: gradients, changed gradients, features, rules for operations, attention, scores.
FAMILIES = (
    *("gradient", "guided_backprop", "grad_cam", "excitation_backprop", "lrp", "deep_lift"),
    *("attention_rollout", "attention_relevance", "occlusion"),
)


@functools.cache
def built(name) -> Case:
    keras.utils.set_random_seed(0)
    return MODELS[name]()


def plain_gradient(case, clips, target):
    """The largest absolute gradient over colours of the score of `target`, by one tape."""
    clips = tf.constant(clips)
    with tf.GradientTape() as tape:
        tape.watch(clips)
        scores = case.score(clips)
        score = tf.gather(scores, target, batch_dims=1)
        total = tf.reduce_sum(score)
    return score.numpy(), np.abs(tape.gradient(total, clips)).max(axis=-1)


def assert_one_line(error):
    assert str(error) and "\n" not in str(error) and "\x1b" not in str(error)


def check_maps(result, shape):
    """The maps of one clip are finite and lie on it."""
    if hasattr(result, "attribution"):
        assert result.attribution.shape == (1, *shape[:3]) and np.isfinite(result.attribution).all()


@pytest.mark.parametrize("name", ALL)
def test_scores_and_gradients_are_those_of_a_plain_tape(name):
    case = built(name)
    clips = clips_of(case)
    result = tfvid.Gradient(case.described())(clips)
    score, gradient = plain_gradient(case, clips, result.target)
    np.testing.assert_allclose(result.score, score, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.attribution, gradient, rtol=1e-4, atol=1e-4 * gradient.max())
    assert gradient.max() > 0


PREDICTED = [name for name in SMALL if name != "conv_lstm_next_frame"]


@pytest.mark.parametrize("name", [one if one in QUICK_MODELS else pytest.param(one, marks=LONG) for one in PREDICTED])
def test_the_score_is_the_models_own_prediction(name):
    case = built(name)
    clips = clips_of(case)
    result = tfvid.Gradient(case.described())(clips)
    predicted = case.net.predict(tf.nest.map_structure(np.asarray, case.inputs(clips)), verbose=0)
    if name == "multi_label":
        predicted = np.log(predicted / (1 - predicted))
    if name == "per_frame":
        predicted = predicted[:, 2:6].mean(axis=1)
    np.testing.assert_allclose(result.score, predicted[np.arange(2), result.target], rtol=1e-4, atol=1e-4)


# LayerCAM drops negative sums, and the features of a transformer with random weights may all have negative sums.
@pytest.mark.parametrize(
    "name, method", [("cnn_rnn", "layer_cam"), ("vivit", "attention_rollout"), ("slow_fast", "layer_cam")]
)
def test_a_mask_by_search_and_a_map(name, method):
    case = built(name)
    clips = clips_of(case, 1)
    mask = tfvid.TemporalMask(case.described(), method="search")(clips).mask
    assert mask.shape == (1, case.shape[0]) and set(np.unique(mask)) <= {0, 1}
    maps = tfvid.explainer(method, case.described())(clips).attribution
    assert maps.shape == (1, *case.shape[:3]) and np.isfinite(maps).all() and maps.max() > 0


@LONG
@pytest.mark.parametrize("name", SMALL)
def test_masks_by_all_methods(name):
    case = built(name)
    for method in ("gradient", "search", "search+gradient"):
        options = {} if method == "search" else {"iterations": 3}
        mask = tfvid.TemporalMask(case.described(), method=method, **options)(clips_of(case, 1)).mask
        assert mask.shape == (1, case.shape[0]) and ((mask >= 0) & (mask <= 1)).all()


@LONG
@pytest.mark.parametrize("name", SMALL)
def test_each_family_of_methods_answers_or_refuses_in_one_line(name):
    """Errors other than tfvid's own fail the test."""
    case = built(name)
    clips = clips_of(case, 1)
    for method in FAMILIES:
        try:
            result = tfvid.explainer(method, case.described(), **QUICK.get(method, {}))(clips)
        except TfvidError as error:
            assert_one_line(error)
        else:
            check_maps(result, case.shape)


@LONG
def test_each_family_does_what_the_table_says():
    """One model: the methods that `tfvid.methods` lists give finite maps, the others refuse."""
    case = built("vivit")
    clips = clips_of(case, 1)
    for method in tfvid.methods(case.described(), clips, measure=False, names=FAMILIES):
        if method.applies:
            check_maps(tfvid.explainer(method.name, case.described(), **QUICK.get(method.name, {}))(clips), case.shape)
        else:
            with pytest.raises(TfvidError) as refused:
                tfvid.explainer(method.name, case.described(), **QUICK.get(method.name, {}))(clips)
            assert_one_line(refused.value)


@LONG
@pytest.mark.parametrize("name", SMALL)
def test_a_file_holds_the_same_model(name, tmp_path):
    case = built(name)
    case.net.save(tmp_path / "model.keras")
    loaded = tfvid.load_model(tmp_path / "model.keras")
    clips = clips_of(case, 1)
    first, second = (tfvid.Gradient(case.described(net))(clips) for net in (None, loaded))
    np.testing.assert_allclose(second.attribution, first.attribution, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(second.score, first.score, rtol=1e-4, atol=1e-6)


@LONG
@pytest.mark.parametrize("name", SMALL)
def test_the_callback_explains_in_fit(name, tmp_path):
    case = MODELS[name]()
    clips = clips_of(case)
    case.net.compile("sgd", case.loss)
    description = case.described() if case.fields else None
    if case.shape[-1] != 3:
        with pytest.raises(TfvidError) as refused:
            tfvid.ExplanationLogger(["gradient"], clips, tmp_path, video_model=description)
        assert_one_line(refused.value)
        return
    options = {"video_model": description} if description else {"input_range": "auto"}
    logger = tfvid.ExplanationLogger(["gradient"], clips, tmp_path, **options)
    inputs = tf.nest.map_structure(np.asarray, case.inputs(clips) if case.fields else clips)
    case.net.fit(inputs, case.targets, epochs=1, verbose=0, callbacks=[logger])
    assert len(logger.table) == 4  # two clips, before and after the step


@LONG
@pytest.mark.parametrize("name", QUICK_MODELS)
def test_it_is_exported_or_refused_in_one_line(name, tmp_path):
    case = built(name)
    clips = clips_of(case)
    try:
        tfvid.export.save(case.described(), tmp_path / "exported", mask={"iterations": 2})
    except TfvidError as error:
        assert_one_line(error)
        return
    exported = tfvid.export.load(tmp_path / "exported")
    maps = exported.grad_cam(clips).attribution
    np.testing.assert_allclose(maps, tfvid.GradCAM(case.described())(clips).attribution, atol=1e-4)


@LONG
@pytest.mark.parametrize("name", ["cnn_rnn", "factorised_vivit", "two_stream"])
def test_a_real_clip(name, shared_data):
    case = built(name)
    video = sorted((shared_data / "kth_sample" / "boxing").glob("*.avi"))[0]
    clips = tfvid.read_clip(video, case.shape[0], case.shape[1:3])[None]
    score, gradient = plain_gradient(case, clips, [1])
    result = tfvid.Gradient(case.described())(clips, 1)
    np.testing.assert_allclose(result.attribution, gradient, rtol=1e-4, atol=1e-4 * gradient.max())
    np.testing.assert_allclose(result.score, score, rtol=1e-4, atol=1e-5)
