"""The twelve faults that were found with people's own models (issue K), and the tests that hold each of them.

| fault | tests |
|---|---|
| 1. the default layer of a CAM lies inside an attention | test_token_maps |
| 2. the input range that a model's first layers say | test_input_range |
| 3. one sigmoid unit: the class "no" | test_one_output |
| 4. a custom layer: its name, and the file that defines it | test_legacy_models |
| 5. a signature of a SavedModel; one thread between operations | adapters/test_tensorflow |
| 6. tokens, or time by features, read as a picture | test_token_maps, test_feature_map |
| 7. a softmax before a linear activation | test_video_model |
| 8. independent classes written as operations | test_video_model |
| 9. features of one time step | test_token_maps |
| 10. channels-first, and (H, W, T, C) | test_stated, test_video_model |
| 11. Keras on another backend | test_keras_backend |
| 12. preprocessing as operations; contrastive EB; functions that fail | here |
| 12. a subclassed model's export; a recurrent softmax | test_export, test_video_model |

`HELD` names each test, and `test_each_fault_is_held` looks them up.
"""

import ast
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import layers

import tfvid
from tfvid.core.errors import ModelError

TESTS = Path(__file__).parents[1]
HELD = {
    1: ["explain/test_token_maps.py::test_fault_1_the_softmax_inside_the_attention_is_not_chosen"],
    2: [
        "network/test_input_range.py::test_the_first_layers_say_what_a_model_takes",
        "network/test_input_range.py::test_clips_in_0_to_1_are_explained_as_by_the_model_without_its_rescaling",
        "network/test_input_range.py::test_a_callback_explains_what_fit_is_given",
    ],
    3: [
        "network/test_one_output.py::test_what_is_explained_is_what_was_predicted",
        "network/test_one_output.py::test_targets_and_labels_are_0_and_1",
    ],
    4: [
        "models/test_legacy_models.py::test_a_layer_of_its_own_is_named_and_the_way_out",
        "models/test_legacy_models.py::test_it_is_loaded_with_its_class_or_its_file",
    ],
    5: [
        "adapters/test_tensorflow.py::test_scores_and_gradients_of_a_saved_model",
        "adapters/test_tensorflow.py::test_one_thread_for_operations_suffices",
    ],
    6: [
        "explain/test_token_maps.py::test_fault_6_a_convolution_over_time_and_features_is_not_chosen",
        "network/test_feature_map.py::test_what_cannot_be_followed_is_not_guessed",
    ],
    7: ["network/test_video_model.py::test_a_softmax_before_a_linear_activation_is_a_softmax"],
    8: [
        "network/test_video_model.py::test_a_sigmoid_that_is_an_operation_is_recognised",
        "network/test_video_model.py::test_averaged_sigmoids_are_not_taken_for_logits_in_silence",
    ],
    9: ["explain/test_token_maps.py::test_one_time_step_is_said"],
    10: [
        "network/test_stated.py::test_a_model_that_looks_otherwise_and_has_no_layout_is_warned_of",
        "network/test_video_model.py::test_a_model_of_another_layout_is_explained_as_the_plain_one",
    ],
    11: ["core/test_keras_backend.py::test_another_backend_is_refused_without_importing_keras"],
    12: [
        "models/test_findings_faults.py::test_fault_12_preprocessing_as_operations_is_no_obstacle",
        "models/test_findings_faults.py::test_fault_12_the_contrastive_form_refuses_what_the_plain_form_refuses",
        "models/test_findings_faults.py::test_fault_12_a_function_that_fails_later_says_why_in_one_line",
        "network/test_video_model.py::test_a_recurrent_layers_softmax_is_not_the_models",
        "export/test_export.py::test_a_model_that_cannot_be_exported",
    ],
}


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("fault", range(1, 13))
def test_each_fault_is_held(fault):
    for test in HELD[fault]:
        file, _, name = test.partition("::")
        assert name in names_in(file), test


def network(first):
    """A convolution and a dense layer with constant weights, behind `first`."""
    clips = keras.Input(toy_models.SHAPE)
    conv = layers.Conv3D(2, 3, activation="relu", kernel_initializer=keras.initializers.RandomUniform(0, 1, seed=1))
    dense = layers.Dense(3, kernel_initializer=keras.initializers.RandomUniform(-1, 1, seed=2))
    return keras.Model(clips, dense(layers.Flatten()(conv(first(clips)))))


def test_fault_12_preprocessing_as_operations_is_no_obstacle():
    """Excitation backprop of ``x / 255`` is that of `Rescaling`."""
    clips = toy_models.clips(2)
    by_layer, by_operation = network(layers.Rescaling(1 / 255)), network(lambda clips: clips / 255.0)
    expected, found = (tfvid.ExcitationBackprop(model)(clips).attribution for model in (by_layer, by_operation))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert expected.any()


def test_fault_12_the_contrastive_form_refuses_what_the_plain_form_refuses():
    model = network(lambda clips: clips - clips * clips)
    for form in (tfvid.ExcitationBackprop, tfvid.ContrastiveExcitationBackprop):
        with pytest.raises(ModelError, match=r"layer 'subtract.*' \(Subtract\)"):
            form(model)(toy_models.clips(2))


class FailsLater:
    """Scores of clips that fail from the third call on."""

    def __init__(self):
        self.calls = 0

    def __call__(self, clips):
        self.calls += 1
        if self.calls > 2:
            raise ValueError("no more\nof this")
        return clips.mean((2, 3, 4))[:, :3]


@pytest.mark.parametrize(
    "explain",
    [
        lambda model, clips: tfvid.explainer("occlusion", model, output="logits", window=(1, 8, 8))(clips),
        lambda model, clips: tfvid.explainer("temporal_mask", model, output="logits", method="search")(clips),
        lambda model, clips: tfvid.metrics.deletion(model, clips, clips.mean(-1), 0),
        lambda model, clips: [
            tfvid.evaluate(tfvid.declare(model, output="logits"), [batch(clips)] * 3),
        ],
    ],
    ids=["occlusion", "mask", "metric", "evaluate"],
)
def test_fault_12_a_function_that_fails_later_says_why_in_one_line(explain):
    with pytest.raises(ModelError, match="the model fails: ValueError: no more of this") as error:
        explain(FailsLater(), toy_models.clips(2))
    assert "\n" not in str(error.value)
    assert isinstance(error.value.__cause__, ValueError)


def batch(clips):
    return {"clip": tf.constant(clips), "label": np.zeros(len(clips), np.int32), "id": np.array([b"a", b"b"])}
