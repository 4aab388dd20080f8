"""What `tfvid.summary.explanation` writes, read back from the event files."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toy_models import build, clips

from tfvid.core.errors import TfvidError
from tfvid.data.sources.video_files import read_clip
from tfvid.explain import explainer
from tfvid.perturb.temporal import freeze, mix, reverse
from tfvid.tensorboard import arguments, metadata, summary
from tfvid.tensorboard.film import draw_film

RNG = np.random.default_rng(0)
NUM, LENGTH, HEIGHT, WIDTH = 2, 5, 16, 24


def smooth_clips(count=NUM, length=LENGTH, height=HEIGHT, width=WIDTH):
    """Clips that JPEG keeps well: a slope of colour for each frame."""
    t, y, x = np.meshgrid(np.linspace(0, 1, length), np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    clip = np.stack([x * t, y * (1 - t), (x + y) / 2], axis=-1).astype(np.float32)
    return np.stack([clip * (1 - 0.3 * index) for index in range(count)])


@pytest.fixture
def log(tmp_path):
    """Writes with `explanation` and gives back what is in the event file: {tag: {step: value}}."""

    def write(*args, **kwargs):
        writer = tf.summary.create_file_writer(str(tmp_path))
        with writer.as_default():
            summary.explanation(*args, **kwargs)
        writer.close()
        return read(tmp_path)

    return write


def read(folder):
    values = {}
    for file in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                values.setdefault(value.tag, {})[event.step] = value
    return values


def blobs(value) -> list[bytes]:
    return list(value.tensor.string_val)


def header(value) -> dict:
    return json.loads(blobs(value)[0])


def image(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)))


def test_a_clip_is_one_tensor_of_json_frames_and_maps(log):
    given_clips, maps = smooth_clips(), RNG.random((NUM, 3, 4, 6)).astype(np.float32) * 7
    mask = RNG.random((NUM, LENGTH)).astype(np.float32)
    values = log(
        "mask/deep",
        given_clips,
        4,
        maps,
        mask,
        {"OS": [0.9, 0.8], "FS": [0.1, np.nan], "drop": [0.8, np.inf]},
        {"target": ["left", "right"], "true": [None, "right"]},
        "**why**",
        ids=["a", "b"],
        events=[[1, 3], [-1, -1]],
        plain=False,
    )
    assert set(values) == {"mask/deep/a", "mask/deep/b"}
    value = values["mask/deep/b"][4]
    assert value.metadata.plugin_data.plugin_name == "tfvid" and value.metadata.summary_description == "**why**"
    assert metadata.read("mask/deep/b", value.metadata.plugin_data.content) == metadata.Clip("mask/deep", "b")
    assert len(blobs(value)) == 1 + LENGTH + 3 == metadata.count(header(value))
    fields = header(value)
    mixing, heat, shown_mask = fields.pop("mixing"), fields.pop("map"), fields.pop("mask")
    assert fields == {
        "version": 1,
        "method": "mask/deep",
        "num_frames": LENGTH,
        "size": [HEIGHT, WIDTH],
        "perturbation": "freeze",
        "perturbed_frames": False,
        "scores": {"OS": pytest.approx(0.8), "FS": None, "RS": None, "CS": None, "drop": None},
        "labels": {"target": "right", "predicted": None, "true": "right"},
        "event": None,
        "range": [0, 1],
    }
    assert list(fields["scores"]) == ["OS", "FS", "RS", "CS", "drop"]
    assert header(values["mask/deep/a"][4])["event"] == [1, 3]
    np.testing.assert_allclose(shown_mask, mask[1], atol=1e-6)
    assert [sum(weight for _, weight in row) for row in mixing] == pytest.approx([1] * LENGTH, abs=1e-5)

    frames = np.stack([image(blob) for blob in blobs(value)[1 : 1 + LENGTH]])
    assert np.abs(frames / 255 - given_clips[1]).mean() < 0.02  # RGB, not BGR, as JPEG keeps it
    levels = np.stack([image(blob) for blob in blobs(value)[1 + LENGTH :]])
    assert levels.shape == (3, 4, 6) and heat == {
        **{"frames": 3, "size": [4, 6], "low": 0, "signed": False},
        "high": pytest.approx(maps[1].max()),
    }
    np.testing.assert_allclose(levels / 255 * heat["high"], maps[1], atol=heat["high"] / 500)


def test_uint8_clips_are_those_of_floats(log):
    floats = smooth_clips()
    values = log("f", floats, 0, plain=False) | log("u", (floats * 255 + 0.5).astype(np.uint8), 0, plain=False)
    assert blobs(values["f/1"][0])[1:] == blobs(values["u/1"][0])[1:]


def test_signed_maps_keep_their_zero_in_the_middle(log):
    maps = np.array([[[[-2.0, 0.0], [0.5, 1.0]]]], np.float32)
    value = log("m", smooth_clips(1), 0, maps, plain=False)["m/0"][0]
    fields = header(value)["map"]
    assert fields == {"frames": 1, "size": [2, 2], "low": -2, "high": 2, "signed": True}
    shown = image(blobs(value)[-1]) / 255 * 4 - 2
    np.testing.assert_allclose(shown, maps[0, 0], atol=4 / 255)


def test_maps_of_zeros_stay_zero(log):
    value = log("m", smooth_clips(1), 0, np.zeros((1, 2, 3, 3)))["m/0"][0]
    assert header(value)["map"] == {"frames": 2, "size": [3, 3], "low": 0, "high": 0, "signed": False}
    assert not image(blobs(value)[-1]).any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=9), st.sampled_from([freeze, reverse]))
def test_the_mixing_in_the_json_is_the_perturbation(values, perturb):
    mask = np.array([values], np.float32)
    length = mask.shape[1]
    clip = np.random.default_rng(1).random((1, length, 2, 2, 3), np.float32)
    rows = summary._sparse(arguments.MIXING[perturb.__name__](mask).numpy()[0])
    matrix = np.zeros((1, length, length), np.float32)
    for frame, row in enumerate(rows):
        assert all(weight >= summary.SMALLEST_WEIGHT / 2 for _, weight in row)
        for source, weight in row:
            matrix[0, frame, source] = weight
    # A row leaves out up to T weights of 1e-4, and rounds the others to six digits.
    np.testing.assert_allclose(mix(clip, matrix), perturb(clip, mask), atol=2e-4 * length)


def test_the_mixing_of_a_logged_clip_is_its_own_mask_s(log):
    clip, mask = smooth_clips(), np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0.25, 1]], np.float32)
    values = log("m", clip, 0, mask=mask, plain=False)
    assert header(values["m/0"][0])["mixing"] == [[[0, 1]], [[0, 1]], [[0, 1]], [[3, 1]], [[4, 1]]]
    assert header(values["m/1"][0])["mixing"][3:] == [[[2, 0.25], [3, 0.75]]] * 2
    values = log("r", clip, 0, mask=np.array([[0, 1, 1, 1, 0]] * 2), perturbation="reverse", plain=False)
    assert [row[0][0] for row in header(values["r/0"][0])["mixing"]] == [0, 3, 2, 1, 4]


def test_frames_of_another_perturbation_are_stored(log):
    clip = smooth_clips()
    value = log("m", clip, 0, mask=np.ones((NUM, LENGTH)), perturbation="my.py:dark", perturbed=clip / 2)["m/1"][0]
    fields = header(value)
    assert (fields["perturbation"], fields["mixing"], fields["perturbed_frames"]) == ("my.py:dark", None, True)
    assert len(blobs(value)) == 1 + 2 * LENGTH == metadata.count(fields)
    assert np.abs(image(blobs(value)[-1]) / 255 - clip[1, -1] / 2).mean() < 0.02


def test_a_clip_alone_needs_no_explanation(log):
    fields = header(log("m", smooth_clips(), 0)["m/0"][0])
    assert fields["map"] is fields["mask"] is fields["perturbation"] is fields["mixing"] is fields["event"] is None


def test_scores_mask_and_maps_come_out_of_results(log):
    model, given_clips = build("functional"), clips(2)
    learned = explainer("temporal_mask", model, iterations=2)(given_clips, labels=[0, 1])
    seen = explainer("grad_cam", model)(given_clips)
    values = log("mask", given_clips, 0, scores=learned, attribution=seen.native, plain=False)
    fields = header(values["mask/1"][0])
    np.testing.assert_allclose(fields["mask"], learned.mask[1], atol=1e-6)
    expected = [learned.original_score, learned.freeze_score, learned.reverse_score, learned.true_score]
    assert list(fields["scores"].values()) == pytest.approx([score[1] for score in expected])
    assert fields["map"]["size"] == list(seen.native.shape[2:])

    fields = header(log("cam", given_clips, 0, scores=seen, plain=False)["cam/1"][0])
    assert fields["scores"] == {**dict.fromkeys(["OS", "FS", "RS", "CS"]), "logit": pytest.approx(seen.score[1])}
    assert fields["map"]["high"] == pytest.approx(seen.native[1].max()) and fields["mask"] is None


def test_plain_scalars_are_means_of_what_is_known(log):
    mask = np.array([[0, 1, 1, 0.4, 0], [0, 1, 0, 0, 0]], np.float32)
    scores = {"OS": [0.5, 1.0], "FS": [0.25, np.nan], "CS": [np.nan, np.nan]}
    values = log("m", smooth_clips(), 3, mask=mask, scores=scores)
    scalars = {
        tag: float(tf.make_ndarray(steps[3].tensor))
        for tag, steps in values.items()
        if steps[3].metadata.plugin_data.plugin_name == "scalars"
    }
    assert scalars == {"m/OS": 0.75, "m/FS": 0.25, "m/mask_length": 1.5}


def test_plain_images_are_small_stills_of_every_clip(log):
    maps, mask = RNG.random((NUM, 2, 3, 3)), np.ones((NUM, LENGTH))
    values = log("m", smooth_clips(), 3, maps, mask)
    for id in ("0", "1"):
        value = values[f"m/{id}/film"][3]
        width, height, png = blobs(value)
        assert value.metadata.plugin_data.plugin_name == "images"
        still = image(png)
        assert still.shape[:2] == (int(height), int(width)) == (3 * (48 + 2) + 18, LENGTH * (72 + 2))
    assert not np.array_equal(still, image(blobs(values["m/0/film"][3])[2]))


def test_a_still_has_a_row_for_what_there_is():
    clip = np.full((12, 30, 60, 3), 90, np.uint8)
    mask, mixing = np.zeros(12), np.eye(12)
    alone = draw_film(clip)
    assert alone.shape == (38, 8 * 74, 3) and np.abs(alone[:36, :72].astype(int) - 90).max() <= 1
    assert draw_film(clip, -np.ones((3, 2, 2)), mask, mixing, event=(2, 5)).shape == (3 * 38 + 18, 8 * 74, 3)
    dark = draw_film(clip, perturbed=clip // 2)
    assert np.abs(dark[38 : 38 + 36, :72].astype(int) - 45).max() <= 1
    mixed = draw_film(np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 8, 8, 3), 100, np.uint8),
                      mixing=np.array([[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]))  # fmt: skip
    assert [mixed[74 + 36, column * 74 + 36, 0] for column in range(3)] == [0, 50, 100]


def test_a_real_clip_takes_little_room(log, shared_data):
    files = sorted((shared_data / "ssv2_sample").rglob("*.webm"))[:3] + [shared_data / "videos" / "kinetics_a.mp4"]
    given_clips = np.stack([read_clip(file, num_frames=16, size=(224, 224)) for file in files])
    mask = np.tile(np.linspace(0, 1, 16), (len(files), 1))
    maps = RNG.random((len(files), 8, 14, 14))
    values = log("m", given_clips, 0, maps, mask, {"OS": [0.5] * len(files)})
    sizes = [values[f"m/{index}"][0].ByteSize() for index in range(len(files))]
    assert all(20_000 < size < 400_000 for size in sizes), sizes
    assert all(values[f"m/{index}/film"][0].ByteSize() < 400_000 for index in range(len(files)))


def test_arguments_are_left_as_they_were(log):
    arguments = [smooth_clips(), 0, RNG.random((NUM, 2, 3, 3)), RNG.random((NUM, LENGTH))]
    before = [np.copy(argument) for argument in arguments]
    log("m", *arguments)
    for argument, was in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, was)


def test_names_follow_the_scopes_they_are_written_in(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=5), tf.name_scope("epoch"):
        summary.explanation("m", smooth_clips(), scores={"OS": [0, 1]})
    writer.close()
    values = read(tmp_path)
    assert set(values) == {"epoch/m/0", "epoch/m/1", "epoch/m/OS", "epoch/m/0/film", "epoch/m/1/film"}
    content = values["epoch/m/0"][5].metadata.plugin_data.content
    assert metadata.read("epoch/m/0", content) == metadata.Clip("epoch/m", "0")


def test_without_a_writer_nothing_happens(tmp_path):
    assert summary.explanation("m", "no clips", 0) is None
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(), tf.summary.record_if(False):
        summary.explanation("m", smooth_clips(), 0)
    writer.close()
    assert read(tmp_path) == {}


def test_without_a_step_it_fails_as_tf_summary_does(log):
    with pytest.raises(ValueError, match="No step set"):
        log("m", smooth_clips())


def test_inside_a_compiled_function_it_says_so(tmp_path):
    with (
        tf.summary.create_file_writer(str(tmp_path)).as_default(),
        pytest.raises(TfvidError, match=r"outside tf.function"),
    ):
        tf.function(lambda: summary.explanation("m", smooth_clips(), 0), autograph=False)()


CLIPS = smooth_clips()
WRONG = {
    "clips: expected shape": {"clips": CLIPS[0]},
    r"clips: expected shape \(B, T, H, W, 3\)": {"clips": CLIPS[..., :1]},
    "clips: expected floats in .0, 1. or uint8, got int64": {"clips": CLIPS.astype(np.int64)},
    "clips: expected floats in .0, 1., got 0 to 255": {"clips": CLIPS / CLIPS.max() * 255},
    "clips: expected floats in .0, 1., got nan": {"clips": np.full_like(CLIPS, np.nan)},
    r"attribution: expected shape \(2, T', h, w\), got \(1, 3, 4, 4\)": {"attribution": np.ones((1, 3, 4, 4))},
    r"attribution: expected shape \(2, T', h, w\), got \(2, 0, 4, 4\)": {"attribution": np.ones((2, 0, 4, 4))},
    "attribution: expected finite numbers": {"attribution": np.full((2, 3, 4, 4), np.nan)},
    "attribution: expected numbers": {"attribution": "maps"},
    r"mask: expected shape \(2, 5\), got \(2, 4\)": {"mask": np.ones((2, 4))},
    "mask: expected values in .0, 1., got 2 to 2": {"mask": np.full((2, 5), 2)},
    "mask: expected finite numbers": {"mask": np.full((2, 5), np.nan)},
    "mask: expected the mask of the perturbation 'freeze'": {"perturbation": "freeze"},
    "perturbed: expected the clips under the perturbation 'blur'": {"mask": np.ones((2, 5)), "perturbation": "blur"},
    "perturbation: expected the name": {"mask": np.ones((2, 5)), "perturbed": CLIPS},
    r"perturbed: expected shape \(2, 5, 16, 24, 3\)": {"perturbation": "blur", "perturbed": CLIPS[:1]},
    r"scores\['OS'\]: expected shape \(2,\), got \(\)": {"scores": {"OS": 1.0}},
    r"scores\['OS'\]: expected numbers": {"scores": {"OS": ["high", "low"]}},
    "scores: expected numbers by name or an explainer's result, got list": {"scores": [1, 2]},
    "labels: unknown role 'targets'; did you mean 'target'": {"labels": {"targets": ["a", "b"]}},
    r"labels\['true'\]: expected 2 strings, one per clip, got 1": {"labels": {"true": ["a"]}},
    r"labels\['true'\]: expected 2 strings, one per clip, got str": {"labels": {"true": "ab"}},
    r"labels\['true'\]: expected strings or None": {"labels": {"true": [0, 1]}},
    "ids: expected 2 strings, one per clip, got 1": {"ids": ["a"]},
    "ids: expected 2 different strings": {"ids": ["a", "a"]},
    "ids: expected 2 different strings, none empty, got .0, 1.": {"ids": [0, 1]},
    "ids: 'OS' is the name of one of the plain summaries": {"ids": ["OS", "b"], "scores": {"OS": [0, 1]}},
    "name, ids: expected text that is valid Unicode": {"ids": ["a", "\ud800"]},
    r"events: expected integers of shape \(2, 2\)": {"events": [[0, 1]]},
    r"events: expected integers of shape \(2, 2\), got float64": {"events": [[0, 1.5], [0, 1]]},
    r"events: expected \[start, stop\) within 5 frames or \(-1, -1\), got \(3, 6\)": {"events": [[3, 6], [0, 1]]},
}


@pytest.mark.parametrize("message", WRONG)
def test_arguments_that_do_not_fit_are_refused_in_one_line(tmp_path, message):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(), pytest.raises(TfvidError, match=message) as caught:
        summary.explanation("m", **{"clips": CLIPS, "step": 0, **WRONG[message]})
    writer.close()
    assert "\n" not in str(caught.value)
    assert read(tmp_path) == {}


def test_the_metadata_of_others_is_not_taken_for_ours():
    content = metadata.create(metadata.Clip("a", "b/c")).plugin_data.content
    assert metadata.read("a/b/c", content) == metadata.Clip("a", "b/c")
    assert metadata.read("a/other", content) is None
    for other in (
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"version": 2, "name": "a", "clip": "b/c"}',
        b'{"version": 1}',
    ):
        assert metadata.read("a/b/c", other) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"num_frames": "2", "map": None, "perturbed_frames": False},
        {"num_frames": -1, "map": None, "perturbed_frames": False},
        {"num_frames": 2, "map": 3, "perturbed_frames": False},
        {"num_frames": 2, "map": {"frames": None}, "perturbed_frames": False},
        {"num_frames": 2, "map": None, "perturbed_frames": 1},
    ],
)
def test_json_that_does_not_say_how_many_blobs_there_are(fields):
    assert metadata.count(fields) is None
