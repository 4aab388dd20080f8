"""`tfvid.methods`: which methods apply to a model, why the others do not, and what they cost."""

import keras
import numpy as np
import pytest
import toy_models
from keras import layers
from quick_explainers import METHODS

import tfvid
from tfvid.core.errors import ModelError, TfvidError
from tfvid.explain import EXPLAINERS
from tfvid.explain.methods import TITLES, Method, Methods, random_clip


def test_passes_by_hand():
    """The counts that the methods' definitions give; SmoothGrad's 25 samples and one run for the predicted class."""
    table = tfvid.methods(toy_models.build("functional", pooled=True), names=["gradient", "smooth_grad", "layer_cam"])
    passes = {row.name: (row.forward_passes, row.backward_passes) for row in table}
    assert passes == {"gradient": (1, 1), "smooth_grad": (26, 25), "layer_cam": (1, 1)}
    assert all(row.seconds > 0 for row in table)
    assert table.applicable == ["gradient", "smooth_grad", "layer_cam"]


def test_a_method_that_does_not_apply_says_why():
    """Saliency tubes need pooled features before the last layer."""
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    (row,) = tfvid.methods(model, clips, names=["saliency_tubes"])
    with pytest.raises(ModelError) as raised:
        tfvid.SaliencyTubes(model)(clips)
    assert not row.applies and row.reason == str(raised.value)
    assert (row.forward_passes, row.backward_passes, row.seconds) == (None, None, None)


def test_a_function_has_the_methods_of_scores():
    model = toy_models.build("functional")
    names = ["gradient", "occlusion", "grad_cam", "crop_search"]
    clips = toy_models.clips(1)
    table = tfvid.methods(lambda x: model(x, training=False).numpy(), clips, names=names, measure=False)
    assert table.applicable == [name for name in names if EXPLAINERS.find(name).scores_only]
    assert "expected a Keras model" in table[0].reason
    with pytest.raises(TfvidError, match=r"clips: the model does not state the size.*give one clip"):
        tfvid.methods(lambda x: x)


def test_without_measuring_no_cost_is_stated():
    (row,) = tfvid.methods(toy_models.build("functional"), measure=False, names=["temporal_mask"])
    assert row == Method("temporal_mask")


def test_a_model_that_no_method_takes_is_refused_once():
    inputs = keras.Input(toy_models.SHAPE)
    flat = layers.Flatten()(inputs)
    with pytest.raises(ModelError, match="expected a model with one output"):
        tfvid.methods(keras.Model(inputs, [layers.Dense(3)(flat), layers.Dense(2)(flat)]))
    with pytest.raises(TfvidError, match="did you mean 'grad_cam'"):
        tfvid.methods(toy_models.build("functional"), names=["grad_cm"])


class NoGradient(layers.Layer):
    """Cannot be differentiated, and says so in its own words."""

    def call(self, x):
        @keras.ops.custom_gradient
        def same(x):
            def gradient(*args, upstream=None):
                raise ValueError("nobody\ndifferentiates this")

            return x, gradient

        return same(x)


def test_an_error_of_the_models_own_is_a_reason_too():
    model = keras.Sequential([keras.Input(toy_models.SHAPE), NoGradient(), layers.Flatten(), layers.Dense(3)])
    table = tfvid.methods(model, names=["gradient", "occlusion"], measure=False)
    assert table.applicable == ["occlusion"]
    assert "nobody differentiates this" in table[0].reason and "\n" not in table[0].reason


def test_the_clip_has_the_size_that_the_model_states():
    assert random_clip(toy_models.build("functional")).shape == (1, *toy_models.SHAPE)
    turned = tfvid.VideoModel(keras.Sequential([keras.Input((3, 6, 8, 8)), layers.Flatten()]), layout="CTHW")
    assert random_clip(turned).shape == (1, 6, 8, 8, 3)
    free = keras.Sequential([keras.Input((None, 9, None, 1)), layers.GlobalAveragePooling3D()])
    assert random_clip(free).shape == (1, 16, 9, 64, 1)


def test_the_table_as_text_and_html():
    table = Methods((Method("gradient", "", 1.0, 1.0, 0.25), Method("lrp", "no rule for <Dense>")))
    lines = str(table).splitlines()
    assert [line.split()[0] for line in lines] == ["method", "gradient", "lrp"]
    assert lines[1].split() == ["gradient", "yes", "1", "1", "0.250"]
    assert lines[2].split() == ["lrp", "no", "no", "rule", "for", "<Dense>"]
    assert lines[0].index(TITLES[-1]) == lines[2].index("no rule")
    assert "<td>no rule for &lt;Dense&gt;</td>" in table._repr_html_()
    assert len(table) == 2 and table[1].name == "lrp" and np.ndim(table.rows) == 1


@pytest.mark.long
def test_every_method_of_a_pooled_network():
    """With cost: counting passes disturbs no method."""
    table = tfvid.methods(toy_models.build("functional", pooled=True))
    assert [row.name for row in table] == list(EXPLAINERS)
    assert table.applicable == METHODS
    assert all(row.forward_passes >= 1 for row in table if row.applies)
    assert all("no attention" in row.reason for row in table if not row.applies)
