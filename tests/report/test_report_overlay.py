"""Heat over frames and the mask's strip: what pixels say, and that inputs are left alone."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfvid.core.errors import TfvidError
from tfvid.report.overlay import COLORMAPS, display_size, mask_strip, overlay, resize, to_uint8
from tfvid.report.style import DARK, LIGHT, fit, font


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)


def luma(clip):
    """What OpenCV calls grey: Rec. 601."""
    return np.repeat((clip @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=-1)


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_without_heat_the_clip_shows(clip, colormap):
    shown = overlay(clip, np.zeros((3, 2, 3)), colormap=colormap)
    np.testing.assert_allclose(shown, clip if colormap == "jet" else luma(clip), atol=1)


def test_opacity_follows_heat(clip):
    half, full = (overlay(clip, np.full((3, 4, 4), heat)).astype(float) for heat in (0.5, 1.0))
    # Full heat in inferno is (252, 255, 164), at three quarters opacity; half heat (188, 55, 84) at three eighths.
    np.testing.assert_allclose(full, 0.25 * luma(clip) + 0.75 * np.array([252, 255, 164]), atol=1.5)
    np.testing.assert_allclose(half, 0.625 * luma(clip) + 0.375 * np.array([188, 55, 84]), atol=1.5)


def test_jet_ends_in_red():
    shown = overlay(np.zeros((1, 4, 4, 3), np.uint8), np.ones((1, 4, 4)), colormap="jet", opacity=1)
    np.testing.assert_array_equal(shown[0, 0, 0], [128, 0, 0])


def test_heat_lies_where_it_belongs():
    heat = np.zeros((2, 4, 4), np.float32)
    heat[1, 0, 3] = 1
    shown = overlay(np.zeros((2, 16, 16, 3), np.uint8), heat).sum(-1)
    assert shown[0].max() == 0
    assert shown[1, :4, 12:].min() > 0 and shown[1, 8:].max() == 0 and shown[1, :, :8].max() == 0


def test_inputs_are_not_drawn_on(clip):
    heat = np.random.default_rng(1).random((3, 8, 12)).astype(np.float32)
    before = clip.copy(), heat.copy()
    shown = [overlay(clip, heat), to_uint8(clip), resize(clip, (8, 12))]
    for image in shown:
        assert not np.shares_memory(image, clip)
        image[:] = 7
    np.testing.assert_array_equal(clip, before[0])
    np.testing.assert_array_equal(heat, before[1])


def test_floats_nan_and_out_of_range():
    frames = np.array([0.0, 1.0, 0.5, np.nan, 2.0, -1.0], np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(to_uint8(frames).ravel(), [0, 255, 128, 0, 255, 0])
    shown = overlay(np.zeros((1, 2, 2, 3)), np.full((1, 2, 2), np.nan))
    assert shown.max() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: overlay(np.zeros((2, 4, 4, 3)), np.zeros((3, 4, 4))),
            r"2 frames must be \(2, h, w\), got \(3, 4, 4\)",
        ),
        (lambda: overlay(np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4)), colormap="jett"), "did you mean 'jet'"),
        (lambda: to_uint8(np.zeros((2, 4, 4, 1))), r"\(T, H, W, 3\), got \(2, 4, 4, 1\)"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(TfvidError, match=message):
        call()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000))
def test_any_clip_is_shown_at_a_readable_size(height, width):
    shown = display_size((height, width))
    assert max(shown) <= 360
    if max(height, width) <= 2 * min(height, width):
        assert min(shown) >= 176 - 1 or max(shown) == 360
        assert abs(shown[0] / shown[1] - height / width) < 0.02


def test_display_sizes_of_the_usual_clips():
    assert [display_size(s) for s in ((64, 64), (112, 112), (224, 224), (120, 160), (16, 16))] == [
        (192, 192),
        (224, 224),
        (224, 224),
        (240, 320),
        (176, 176),
    ]


def cells(mask, **options):
    """Colours of each cell of a strip between the lines of its hatching, near its top and its bottom."""
    strip = np.asarray(mask_strip(np.array(mask), (40, 20 * len(mask)), LIGHT, **options))
    return [tuple(tuple(strip[row, 20 * t + 6 : 20 * t + 12].max(0)) for row in (8, 34)) for t in range(len(mask))]


def test_strip_is_red_where_perturbed_and_green_where_kept():
    assert cells([0, 1, 0.5])[:2] == [(LIGHT.kept, LIGHT.kept), (LIGHT.perturbed, LIGHT.perturbed)]


def test_perturbed_cells_are_hatched_with_dark_lines():
    strip = np.asarray(mask_strip(np.array([0, 1]), (40, 40), LIGHT))
    kept, perturbed = strip[10:30, 2:14], strip[10:30, 22:34]
    assert (kept == LIGHT.kept).all()
    share = (perturbed == LIGHT.perturbed).all(-1).mean()
    assert share == pytest.approx(2 / 3)  # of six columns, a line takes two
    lines = perturbed[(perturbed != LIGHT.perturbed).any(-1)]
    assert (lines == [162, 43, 39]).all()  # three quarters of (216, 58, 52)


def test_soft_values_show_as_levels():
    (soft_kept, soft_perturbed) = cells([0.4, 0.6])
    assert soft_kept[0] == LIGHT.kept and soft_kept[1] not in (LIGHT.kept, LIGHT.perturbed)
    assert soft_perturbed[1] == LIGHT.perturbed and soft_perturbed[0] not in (LIGHT.kept, LIGHT.perturbed)


def test_current_frame_and_event_are_marked():
    plain = np.asarray(mask_strip(np.zeros(4), (40, 80), DARK))
    current = np.asarray(mask_strip(np.zeros(4), (40, 80), DARK, current=2))
    changed = np.flatnonzero((plain != current).any((0, 2)))
    assert changed.min() >= 40 and changed.max() < 60
    event = np.asarray(mask_strip(np.zeros(4), (40, 80), DARK, event=(1, 3)))
    blue = np.flatnonzero((event == DARK.event).all(-1).any(0))
    assert blue.min() == 20 and 56 <= blue.max() < 60


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(8, 300))
@example([0.0] * 9, 8)
def test_a_strip_of_any_length_fits_any_width(mask, width):
    for event in ((0, len(mask)), (len(mask) // 2, len(mask) // 2 + 1)):
        assert mask_strip(np.array(mask), (30, width), DARK, current=0, event=event).size == (width, 30)


def test_text_is_cut_to_its_width():
    typeface = font(13)
    assert fit("left to right", typeface, 500) == "left to right"
    cut = fit("moving something from left to right", typeface, 100)
    assert cut.endswith("…") and typeface.getlength(cut) <= 100
    assert fit("two\nlines", typeface, 500) == "two lines"
