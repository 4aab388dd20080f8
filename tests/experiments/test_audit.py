"""The parts of an audit, by hand: interventions, statistics, shortcuts, sources, profiles and conditions."""

from dataclasses import replace

import numpy as np
import pytest

from tfvid.core.errors import ConfigError, DataError
from tfvid.data.sources.fight_surv import FightSurv
from tfvid.experiments.audit.check import compared, is_audit, mask_iou, outcomes, write_junit
from tfvid.experiments.audit.conditions import Condition, parse
from tfvid.experiments.audit.confusions import confusions
from tfvid.experiments.audit.effects import effects, mcnemar
from tfvid.experiments.audit.explanations import Explained, border_energy, fovea_energy
from tfvid.experiments.audit.findings import Evidence, all_findings
from tfvid.experiments.audit.interventions import INTERVENTIONS, change_speed
from tfvid.experiments.audit.motion import mean_share, motion_shares, share_lost
from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.properties import Properties, corner_colours
from tfvid.experiments.audit.quantities import of_explanations, of_motion, of_shortcuts
from tfvid.experiments.audit.regions import centre, profiles
from tfvid.experiments.audit.scene import moving_pixels, scene_of, still_background
from tfvid.experiments.audit.shortcuts import (
    UNKNOWN,
    balanced_accuracy,
    colour_codes,
    named_properties,
    number_codes,
    shortcuts,
    text_codes,
)
from tfvid.experiments.audit.sources import all_sources, shared_accuracy, source_names, sources
from tfvid.metrics.calibration import expected_calibration_error


def ramp(frames=6, size=2):
    """A clip whose frame t has the value t / 10."""
    return np.broadcast_to(np.arange(frames, dtype=np.float32)[:, None, None, None] / 10, (frames, size, size, 3))


def moving_dot():
    """A bright pixel that moves along the diagonal of a dark picture: `(3, 3, 3, 3)`."""
    clip = np.full((3, 3, 3, 3), 0.25, np.float32)
    clip[range(3), range(3), range(3)] = 1
    return clip


# Interventions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("as_is", [0, 1, 2, 3, 4, 5]),
        ("reversed", [5, 4, 3, 2, 1, 0]),
        ("one_frame", [3, 3, 3, 3, 3, 3]),
        ("frozen_middle", [0, 1, 1, 1, 4, 5]),
        ("half_speed", [1, 2, 2, 3, 3, 4]),
        ("double_speed", [0, 0, 2, 4, 5, 5]),
        ("shifted", [1, 2, 3, 4, 5, 5]),
    ],
)
def test_interventions_in_time_by_hand(name, frames):
    changed = INTERVENTIONS[name].change(ramp(), None, np.random.default_rng(0))
    assert changed.shape == ramp().shape
    np.testing.assert_allclose(changed[:, 0, 0, 0] * 10, frames, atol=1e-5)


def test_shuffled_is_another_order_that_the_generator_decides():
    first, again, other = (INTERVENTIONS["shuffled"].change(ramp(), None, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(np.sort(first[:, 0, 0, 0]), ramp()[:, 0, 0, 0])


def test_speed_of_one_changes_nothing():
    for frames in (1, 2, 5, 8):
        np.testing.assert_array_equal(change_speed(ramp(frames), 1.0), ramp(frames))


def test_what_moves_is_the_foreground():
    clip, dot = moving_dot(), np.zeros((3, 3, 3), bool)
    dot[range(3), range(3), range(3)] = True
    np.testing.assert_array_equal(moving_pixels(clip), dot)
    np.testing.assert_allclose(still_background(clip, dot), 0.25)


def test_boxes_are_the_foreground_where_they_are_known():
    boxes = np.full((3, 2, 4), np.nan, np.float32)
    boxes[1, 0] = [0, 0, 2, 1]
    foreground = scene_of(moving_dot(), boxes).foreground
    assert foreground[1].tolist() == [[True, False, False], [True, False, False], [False, False, False]]
    assert not foreground[[0, 2]].any()
    unknown = scene_of(moving_dot(), np.full((3, 2, 4), np.nan, np.float32))
    np.testing.assert_array_equal(unknown.foreground, moving_pixels(moving_dot()))


def test_what_is_always_hidden_has_the_mean_colour():
    clip, foreground = np.zeros((2, 1, 3, 1), np.float32), np.zeros((2, 1, 3), bool)
    clip[:, 0, :, 0] = [[0.2, 0.4, 1.0], [0.2, 0.4, 1.0]]
    foreground[:, 0, 2] = True
    np.testing.assert_allclose(still_background(clip, foreground)[0, :, 0], [0.2, 0.4, 0.3], atol=1e-6)
    np.testing.assert_allclose(still_background(clip, np.ones_like(foreground))[0, :, 0], [1.6 / 3] * 3, atol=1e-6)


def test_backgrounds_are_swapped_and_foregrounds_removed():
    other = np.full((3, 3, 3), 0.75, np.float32)
    scene = scene_of(moving_dot(), other=other)
    swapped = INTERVENTIONS["background_swapped"].change(moving_dot(), scene, None)
    expected = np.full((3, 3, 3, 3), 0.75)
    expected[range(3), range(3), range(3)] = 1
    np.testing.assert_allclose(swapped, expected)
    static = INTERVENTIONS["background_swapped_one_frame"].change(moving_dot(), scene, None)
    np.testing.assert_allclose(static, np.repeat(expected[1:2], 3, axis=0))
    removed = INTERVENTIONS["foreground_removed"].change(moving_dot(), scene, None)
    np.testing.assert_allclose(removed, 0.25)


def test_grey_and_blurred():
    clip = np.zeros((1, 64, 64, 3), np.float32)
    clip[0, 32, 32] = [1, 0, 0]
    grey = INTERVENTIONS["grey"].change(clip, None, None)
    np.testing.assert_allclose(grey[0, 32, 32], [0.299] * 3, atol=1e-6)
    blurred = INTERVENTIONS["blurred"].change(clip, None, None)
    # A Gaussian of 2 pixels has 1 / (2 pi 4) in its middle.
    assert blurred[0, 32, 32, 0] == pytest.approx(1 / (8 * np.pi), rel=0.03)
    assert blurred.sum() == pytest.approx(1, rel=1e-3)
    assert INTERVENTIONS["blurred"].change(clip[..., :1], None, None).shape == (1, 64, 64, 1)


def test_the_corners_of_a_clip():
    clip = np.zeros((2, 16, 16, 3), np.float32)
    clip[:, :2, :2, 0], clip[:, -2:, -2:, 2] = 1, 0.5
    clip[:, 2:-2, 2:-2] = 0.9
    np.testing.assert_allclose(corner_colours(clip), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5])


# Accuracy -----------------------------------------------------------------------------------------------------


def answers(as_is, one_frame, labels, names=("a", "b")):
    """Answers from the probabilities of class 1."""

    def of(scores):
        return np.stack([1 - np.array(scores), scores], axis=1).astype(np.float32)

    ids = [f"clip {i}" for i in range(len(labels))]
    return Answers(ids, np.array(labels), names, {"as_is": of(as_is), "one_frame": of(one_frame)})


def test_mcnemar_by_hand():
    """Of 5 clips that one of the two answers right, all are lost: p = 2 / 2**5."""
    first, second = np.array([1, 1, 1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 1, 0])
    assert mcnemar(first, second) == pytest.approx(2 / 32)
    assert mcnemar(second, first) == pytest.approx(2 / 32)
    assert mcnemar(first, first) == 1.0


def test_effects():
    found = effects(answers([0.1] * 8 + [0.9] * 8, [0.9] * 8 + [0.9] * 8, [0] * 8 + [1] * 8))
    whole, still = found
    assert (whole.top1, whole.p, whole.fall, whole.f1) == (1.0, None, 0.0, 1.0)
    assert (still.top1, still.fall, still.same) == (0.5, 0.5, 0.5)
    assert still.p == pytest.approx(2 / 2**8) and still.is_fall and not whole.is_fall
    assert still.fall_low < 0.5 < still.fall_high
    assert still.true_score == pytest.approx((0.1 + 0.9) / 2)


def test_motion_share_by_hand():
    of = answers([0.2, 0.2, 0.8, 0.6], [0.5, 0.7, 0.35, 0.35], [0, 0, 1, 1])
    shares = motion_shares(of)
    assert shares[0] == pytest.approx(1 - 0.4 / 0.8) and shares[1] == pytest.approx(1 - 0.35 / 0.7)
    assert mean_share(shares) == pytest.approx(0.5)
    assert of_motion(shares) == {"motion_share": pytest.approx(0.5), "lowest_motion_share": pytest.approx(0.5)}


def test_motion_share_stays_in_its_range():
    assert share_lost([0.5], [0.9]) == 0.0
    assert share_lost([0.5], [0.0]) == 1.0
    assert share_lost([0.0], [0.5]) is None
    assert of_motion({0: None}) == {"motion_share": None, "lowest_motion_share": None}


def test_calibration_by_hand():
    """Two bins: (0.6, 0.65], right 1 of 2, and (0.9, 0.95], right 2 of 2."""
    probabilities = np.array([[0.62, 0.38], [0.36, 0.64], [0.94, 0.06], [0.08, 0.92]])
    expected = (abs(1 - 0.62 - 0.64) + abs(2 - 0.94 - 0.92)) / 4
    assert expected_calibration_error(probabilities, [0, 0, 0, 1], bins=20) == pytest.approx(expected)
    assert expected_calibration_error([[1.0, 0.0]], [0]) == 0
    with pytest.raises(DataError, match="expected probabilities of one clip"):
        expected_calibration_error(np.zeros((0, 2)), [])


def test_confusions_come_with_their_clearest_clips():
    found = confusions(answers([0.9, 0.7, 0.95, 0.2, 0.4], [0.5] * 5, [0, 0, 0, 0, 1]))
    assert [(one.label, one.answer, one.count, one.of) for one in found] == [(0, 1, 3, 4), (1, 0, 1, 1)]
    assert found[0].clips == ["clip 2", "clip 0", "clip 1"]
    np.testing.assert_allclose(found[0].scores, [0.95, 0.9, 0.7])
    assert confusions(answers([0.1], [0.1], [0])) == []


# Shortcuts ----------------------------------------------------------------------------------------------------


def test_categories():
    assert text_codes(["b", "", "a", "b"]).tolist() == [0, UNKNOWN, 1, 0]
    assert number_codes(np.array([3.0, np.nan, 1.0, 2.0, 4.0])).tolist() == [1, UNKNOWN, 0, 0, 1]
    assert set(number_codes(np.full(30, 7.0)).tolist()) == {0}
    assert sorted(set(number_codes(np.arange(32.0)).tolist())) == [0, 1, 2, 3]
    assert colour_codes(np.array([[0.0, 0.9, 0.1], [1.0, 0.1, 0.1]])).tolist() == [2, 1]


def test_a_property_that_is_the_answer_predicts_it_and_one_of_its_own_for_each_clip_does_not():
    said = np.array([0, 1] * 20)
    assert balanced_accuracy(said, said) == 1.0
    assert balanced_accuracy(np.arange(40), said) == 0.5
    assert balanced_accuracy(np.zeros(40, int), said) == 0.5


def test_rare_classes_count_as_much():
    """Category 1 has 4 of the 8 clips of the rare class and 8 of the 72 others: relative to their number, more."""
    said = np.array([1] * 8 + [0] * 72)
    codes = np.array([1, 0] * 4 + [1] * 8 + [0] * 64)
    assert balanced_accuracy(codes, said) == pytest.approx((0.5 + 64 / 72) / 2, abs=0.1)


def test_a_model_that_answers_by_a_property_is_found_out():
    rng = np.random.default_rng(0)
    labels, dark = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    by_property = answers(np.where(dark, 0.9, 0.1), [0.5] * 60, labels)
    best, other = shortcuts(by_property, {"brightness": dark, "noise": rng.integers(0, 4, 60)})
    assert (best.title, best.predicts_answer) == ("brightness", 1.0)
    assert best.beats_label and best.is_used and best.p == pytest.approx(2 / 200)
    assert not other.is_used and other.predicts_answer < 0.7
    found = of_shortcuts([best, other], None)
    assert found["shortcut"] == 1.0 and found["shortcut_excess"] > 0.2 and found["top1_shared_sources"] is None


def test_a_right_model_uses_no_property_that_the_label_explains():
    labels = np.array([0, 1] * 30)
    (only,) = shortcuts(answers(np.where(labels, 0.9, 0.1), [0.5] * 60, labels), {"source": labels})
    assert only.predicts_answer == only.label_predicts_answer == 1.0
    assert not only.is_used and not only.beats_label


def test_one_answer_has_no_shortcut():
    assert shortcuts(answers([0.9] * 8, [0.9] * 8, [0, 1] * 4), {"x": np.arange(8) % 2}) == []


def test_properties_that_do_not_differ_are_left_out():
    base = Properties(100.0, "32x24", 25.0, 2.0, 50.0, 0.5, (0.1,) * 12, 0.2)
    found = named_properties([base, replace(base, brightness=0.6, frame_rate=float("nan"))] * 8, [""] * 16)
    assert list(found) == ["brightness"]


def test_sources_that_give_the_class_away():
    names = ["cam"] * 12 + ["film"] * 12 + ["once"]
    labels = ["no"] * 12 + ["no", "yes"] * 6 + ["yes"]
    cam, once, film = sources(names, labels)
    assert (cam.name, cam.classes, cam.gives_away) == ("cam", {"no": 12}, True)
    assert cam.p == pytest.approx(2 * (18 / 25) ** 12) and cam.p < 0.05
    assert (once.name, once.gives_away) == ("once", False) and (film.name, film.p) == ("film", None)


def test_accuracy_on_sources_of_several_classes():
    of = sources(["cam"] * 3 + ["film"] * 4, ["no"] * 3 + ["no", "yes"] * 2)
    shared = shared_accuracy(
        ["cam", "cam", "cam", "film", "film", "film", "film"], np.array([1, 1, 1, 1, 0, 0, 0.0]), of
    )
    assert (shared.clips_shared, shared.top1_shared, shared.top1_single, shared.fall) == (4, 0.25, 1.0, 0.75)
    assert shared.low > 0
    only = shared_accuracy(["film"] * 2, np.array([1, 0.0]), of)
    assert (only.top1_shared, only.top1_single, only.fall) == (0.5, None, None)
    assert shared_accuracy(["a", "b"], np.ones(2), sources(["a", "b"], ["no", "yes"])) is None


def test_fight_surv_has_sources_that_give_no_fight_away(shared_data):
    dataset = FightSurv(shared_data / "fight_surv")
    giving = [source for source in all_sources(dataset) if source.gives_away]
    assert {source.name: source.classes for source in giving} == {
        "synopsis": {"noFight": 16},
        "camnet": {"noFight": 14},
    }
    assert set(source_names(dataset, dataset.samples("validation"))) >= {"video43", "video07"}


# When and where -----------------------------------------------------------------------------------------------


def explained(clip, label=0, mask=(0, 1, 0, 0), heat=None, **numbers):
    heat = np.ones((4, 8, 8)) if heat is None else heat
    values = {
        "clip": clip,
        "role": "sample",
        "label": label,
        "target": label,
        "predicted": label,
        "score": 0.9,
        "mask": list(map(float, mask)),
        "crop": [0.0, 1.0, 1.0, 0.0],
        "trusted": True,
        "frozen_score": 0.1,
        "relevance": [1.0] * 4,
        "border": float(border_energy(heat[None])[0]),
        "fovea": float(fovea_energy(heat[None])[0]),
        "in_boxes": float("nan"),
        "same_when_shifted": 0.5,
        "same_with_noise": 1.0,
        "same_with_seed": float("nan"),
        "maps": "gradient",
        "film": "",
        "coarse": heat.astype(np.float16),
    }
    return Explained(**(values | numbers))


def test_energy_at_the_border_and_in_the_centre():
    uniform, corner, middle = np.ones((4, 8, 8)), np.zeros((4, 8, 8)), np.zeros((4, 8, 8))
    corner[:, 0, 0], middle[:, 3, 4] = 1, 1
    maps = np.stack([uniform, corner, middle, -uniform])
    np.testing.assert_allclose(border_energy(maps), [7 / 16, 1, 0, np.nan])
    np.testing.assert_allclose(fovea_energy(maps), [1 / 4, 0, 1, np.nan])


def test_centre_of_weights():
    assert centre([0, 1, 0, 0]) == [0.375]
    assert centre([[0, 0], [0, 2]]) == [0.75, 0.75]
    assert np.isnan(centre([0, 0])).all()


def test_profiles_of_classes():
    corner = np.zeros((4, 8, 8))
    corner[:, 0, 0] = 1
    of = [
        explained("a"),
        explained("b", mask=(0, 1, 1, 0)),
        explained("c", heat=corner, mask=(1, 0, 0, 0)),
        explained("d", label=1, trusted=False),
    ]
    first, second = profiles(of)
    assert (first.clips, first.trusted, first.odd) == (3, 3, "c") and first.typical in ("a", "b")
    np.testing.assert_allclose(first.necessary, [1 / 3, 2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(first.sufficient, [0, 1, 1, 0])
    assert first.heat.sum() == pytest.approx(1) and first.heat[0, 0] == pytest.approx((1 + 2 / 64) / 3)
    assert first.numbers["mask_length"] == pytest.approx(4 / 3) and first.numbers["box_energy"] is None
    assert (second.trusted, second.typical, second.numbers["mask_length"]) == (0, "", None)
    found = of_explanations(of)
    assert (found["explained"], found["mask_trusted"], found["stability_shift"]) == (4, 0.75, 0.5)
    assert found["mask_length"] == pytest.approx(4 / 3) and found["stability_seed"] is None


# Findings and conditions --------------------------------------------------------------------------------------


def test_findings_say_what_falls():
    of = answers([0.1] * 12 + [0.9] * 12, [0.5001] * 24, [0] * 12 + [1] * 12, names=("fight", "noFight"))
    by_name = {one.intervention: one for one in effects(of)}
    shares = motion_shares(of)
    values = of_motion(shares) | {"ece": 0.1, "foreground": 0.2}
    found = all_findings(Evidence(of, by_name, shares, [], [], [""] * 24, None, values))
    texts = {finding.question: finding for finding in found}
    assert texts["Is the model better than guessing?"].holds is True
    motion = texts["Does the model need motion?"]
    assert motion.holds is True and "top-1 falls from 1.00 to 0.50" in motion.answer
    assert "44 % of the score" in motion.answer and "Is the model" in found[0].question
    assert texts["Does a property that should not matter predict the answer better than the label?"].holds is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("top1 < 0.80", Condition("top1", "<", 0.8)),
        (" mask_iou_with_old<=.6 ", Condition("mask_iou_with_old", "<=", 0.6)),
        ("ece >= 1e-1", Condition("ece", ">=", 0.1)),
        ("top1_change > -0.02", Condition("top1_change", ">", -0.02)),
    ],
)
def test_conditions(text, expected):
    assert parse(text) == expected


NO_CONDITIONS = ("top1", "top1 < ", "top1 = 0.8", "0.8 > top1", "top1 < 0.8 or 1", "top1 < nan", "exit() < 1", "")


@pytest.mark.parametrize("text", NO_CONDITIONS)
def test_what_is_no_condition(text):
    with pytest.raises(ConfigError, match="^expected a condition such as 'top1 < 0.80'"):
        parse(text)


def test_an_unknown_quantity():
    with pytest.raises(ConfigError, match="unknown quantity 'motion_shar'; did you mean 'motion_share'"):
        parse("motion_shar < 0.3")


def test_outcomes_and_junit(tmp_path):
    conditions = [parse("top1 < 0.80"), parse("motion_share < 0.3"), parse("box_energy < 0.5")]
    found = outcomes(conditions, {"top1": 0.9, "motion_share": 0.1, "box_energy": None})
    assert [one.failed for one in found] == [False, True, True]
    write_junit(tmp_path / "check.xml", found, "<new> & old")
    from xml.etree import ElementTree

    (suite,) = ElementTree.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert suite.get("name") == "tfvid check <new> & old"
    passed, failed, unknown = suite
    assert len(passed) == 0 and failed[0].tag == "failure" and unknown[0].tag == "error"
    assert failed[0].get("message") == "motion_share is 0.1, and the check fails if motion_share < 0.3"


def test_masks_overlap():
    assert mask_iou([0, 1, 1, 0], [0, 0, 1, 1]) == pytest.approx(1 / 3)
    assert mask_iou([0, 0], [0, 0]) == 1.0 and mask_iou([0, 0], [0, 1]) == 0.0
    assert np.isnan(mask_iou([0, 1], [0, 1, 1]))


def test_a_folder_without_an_audit(tmp_path):
    assert not is_audit(tmp_path)
    with pytest.raises(DataError, match="no audit here"):
        compared(tmp_path, tmp_path)
