"""Memory that does not suffice: explainers go on with half as many at a time, training says so in one line."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from quick_explainers import METHODS, POOLED, QUICK, arrays

from tfvid.config import RunConfig, from_dict
from tfvid.core.errors import TfvidError
from tfvid.explain import explainer
from tfvid.network.compiled import Compiled

QUICKLY = ("grad_cam", "rise", "score_cam", "temporal_mask")


@keras.saving.register_keras_serializable("test_faults_memory")
class Greedy(keras.layers.Layer):
    """Asks for 16 TiB for each clip but the first of a batch: what no machine has."""

    def call(self, x):
        wanted = tf.random.stateless_uniform([(tf.cast(tf.shape(x)[0], tf.int64) - 1) * 2**42], (0, 0))
        return x + tf.cast(tf.reduce_sum(wanted[:1]), x.dtype)


def greedy() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(toy_models.SHAPE),
            Greedy(),
            layers.Conv3D(4, 3, padding="same"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3),
        ]
    )


def halvings(caught) -> list[str]:
    return [str(warning.message) for warning in caught if "out of memory" in str(warning.message)]


@pytest.mark.long  # TensorFlow waits ten seconds for memory before it gives up
def test_where_tensorflow_has_no_memory_left_half_as_many_clips_are_explained_at_a_time():
    explain, clips = explainer("grad_cam", greedy(), batch_size=2), toy_models.clips(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = explain(clips)
        again = explain(clips)  # no further try of what did not fit
    assert halvings(caught) == ["GradCAM: out of memory at batch_size 2, continues with 1"]
    assert caught[0].filename == __file__ and explain.batch_size == 1
    alone = explainer("grad_cam", greedy(), batch_size=1)(clips)
    for name, value in arrays(alone).items():
        np.testing.assert_allclose(arrays(result)[name], value, atol=1e-5)
        np.testing.assert_array_equal(arrays(result)[name], arrays(again)[name])


def little_memory(monkeypatch, at_once: int):
    """No compiled function takes more than `at_once` clips or masks."""
    original = Compiled.__call__

    def call(self, *tensors):
        if max(len(tensor) for tensor in tensors) > at_once:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nof many lines")
        return original(self, *tensors)

    monkeypatch.setattr(Compiled, "__call__", call)


@pytest.mark.parametrize(
    "method", [name if name in QUICKLY else pytest.param(name, marks=pytest.mark.long) for name in METHODS]
)
def test_every_explainer_goes_on_or_says_so_in_one_line(method, monkeypatch):
    model, clips = toy_models.build("functional", pooled=method in POOLED), toy_models.clips(2)
    explain = explainer(method, model, **QUICK.get(method, {}), batch_size=4)
    with warnings.catch_warnings(record=True) as caught, monkeypatch.context() as patch:
        warnings.simplefilter("always")
        little_memory(patch, 1)
        result = explain(clips)
        assert halvings(caught)[-1].endswith("at batch_size 2, continues with 1") and explain.batch_size == 1
        little_memory(patch, 0)
        with pytest.raises(TfvidError, match=r"out of memory at batch_size 1 \(.*OOM when allocating") as error:
            explain(clips)
    assert "\n" not in str(error.value) and len(result) == 2
    for name, value in arrays(explain(clips)).items():
        np.testing.assert_array_equal(arrays(result)[name], value, err_msg=name)


def test_answers_to_a_split_are_taken_in_parts():
    from tfvid.experiments.evaluation import stream

    class Small(keras.Model):
        """Has memory for two clips."""

        def call(self, clips, training=None):
            def answer(clips):
                if len(clips) > room:
                    raise MemoryError("OOM\nof many lines")  # TensorFlow makes a ResourceExhaustedError of it
                return clips[:, 0, 0, 0, :]

            return tf.ensure_shape(tf.numpy_function(answer, [clips], tf.float32), (None, 3))

    clips, room = toy_models.clips(5), 2
    batch = {"clip": clips, "id": np.array([b"a", b"b", b"c", b"d", b"e"]), "label": np.arange(5)}
    with pytest.warns(RuntimeWarning, match="out of memory with 5 clips at a time"):
        (answers,) = stream(Small(), [batch])
    np.testing.assert_array_equal(answers.logits["forward"], clips[:, 0, 0, 0, :])
    room = 0
    with pytest.warns(RuntimeWarning), pytest.raises(TfvidError, match=r"memory with a single clip \(.*$"):
        list(stream(Small(), [batch]))


@pytest.mark.long
def test_training_without_memory_is_one_line(tmp_path, monkeypatch):
    from tfvid.training import loop

    build = loop.build_model

    def with_greed(*arguments, **options):
        model = build(*arguments, **options)
        first = keras.Input(model.input_shape[1:])
        return keras.Model(first, model(Greedy()(first)))

    data = {"options": {"classes": ["Something appearing", "Something disappearing"], "train": 4, "validation": 2}}
    data |= {"num_frames": 4, "size": [16, 16], "batch_size": 2, "workers": 1}
    model = {"name": "conv_lstm", "options": {"blocks": 1, "filters": 2, "kernel": 3}}
    config = from_dict({"name": "run", "data": data, "model": model, "train": {"epochs": 1}}, "here", RunConfig)
    monkeypatch.setattr(loop, "build_model", with_greed)
    with pytest.raises(TfvidError, match=r"out of memory with data.batch_size=2 .*choose a smaller one") as error:
        loop.train(config, tmp_path / "runs", tmp_path / "saved")
    assert "\n" not in str(error.value)
