"""``explanation.show()``, ``.save()``, ``repr`` and notebook cells, on files that are really written and read again."""

import base64
import dataclasses
import io
import re
import warnings

import matplotlib
import numpy as np
import pytest
import toy_models
from PIL import Image

import tfvid
from tfvid.core.errors import TfvidError
from tfvid.explain.base import Attribution, Explanation

T, H, W = 6, 8, 8


@dataclasses.dataclass(frozen=True)
class Masked(Explanation):
    mask: np.ndarray
    original_score: np.ndarray
    freeze_score: np.ndarray


def clips(count=2):
    """Grey clips; their red grows with time."""
    frames = np.full((count, T, H, W, 3), 0.5, np.float32)
    frames[..., 0] += np.linspace(0, 0.5, T, dtype=np.float32)[:, np.newaxis, np.newaxis]
    return frames


def attribution(count=2):
    """All relevance in the left half."""
    maps = np.zeros((count, T, H, W), np.float32)
    maps[..., : W // 2] = -3
    classes = np.arange(count, dtype=np.int32)
    return Attribution(classes, np.zeros(count, np.int32), np.float32([0.25] * count), maps).of(clips(count))


def masked():
    mask = np.float32([[0, 0, 1, 1, 1, 0]])
    return Masked(np.int32([1]), np.int32([0]), mask, np.float32([0.75]), np.float32([np.nan])).of(clips(1))


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_film_has_a_frame_for_each_frame_of_the_clip(suffix, tmp_path):
    path = attribution().save(tmp_path / f"x.{suffix}")
    with Image.open(path) as film:
        assert film.n_frames == T
        one = attribution().save(tmp_path / f"one.{suffix}", indices=[1])
        with Image.open(one) as half:
            assert film.size == (half.width, 2 * half.height)


def test_colour_lies_where_the_relevance_is(tmp_path):
    """The second row of the sheet: heat on the left half of each frame, the grey clip on the right half."""
    pixels = np.asarray(Image.open(attribution(1).save(tmp_path / "x.png")).convert("RGB")).astype(int)
    shown = tfvid.report.explanation_picture.Pictured(attribution(1)).panels(0)
    assert [panel.title for panel in shown] == ["clip", "attribution"]
    spread = np.ptp(shown[1].frames.astype(int), axis=-1)
    width = spread.shape[2]
    assert spread[:, :, : width // 4].min() > 50 and spread[:, :, -width // 4 :].max() == 0
    assert (np.ptp(pixels, axis=-1) > 50).any()


def test_a_mask_shows_its_frozen_clip_and_strip(tmp_path):
    """Frames 3 to 5 are frozen: they repeat frame 2."""
    shown = tfvid.report.explanation_picture.Pictured(masked()).panels(0)
    assert [panel.title for panel in shown] == ["clip", "frozen"]
    clip, frozen = (panel.frames.astype(int) for panel in shown)
    for frame, source in enumerate([0, 1, 1, 1, 1, 5]):
        np.testing.assert_allclose(frozen[frame], clip[source], atol=1)
    pixels = np.asarray(Image.open(masked().save(tmp_path / "x.png")).convert("RGB"))
    for colour in ((216, 58, 52), (38, 152, 84)):  # perturbed and kept cells of the strip
        assert (pixels == colour).all(-1).any()


def test_html_has_strip_class_and_scores_and_is_escaped(tmp_path):
    names = ["<script>alert(1)</script>", "push & pull"]
    page = masked().save(tmp_path / "x.html", class_names=names).read_text("utf-8")
    assert "push &amp; pull" in page and "&lt;script&gt;" in page and "<script" not in page
    assert "<th>score of the clip (OS)<td>0.75" in page
    assert "<th>FS" not in page  # NaN: not known
    (data,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == "WEBP"


def test_a_notebook_cell_shows_eight_clips():
    cell = attribution(9)._repr_html_()
    assert cell.count("<img") == 8 and "clips not shown: 1" in cell
    assert dataclasses.replace(attribution())._repr_html_().startswith("<pre>Attribution(")  # keeps no clips


def test_a_class_activation_map_says_its_layer():
    plain = attribution(2)
    maps = tfvid.explain.CAMResult(
        plain.target, plain.predicted, plain.score, plain.attribution, native=plain.attribution
    ).of(clips(2))
    assert "<th>layer" not in maps._repr_html_()
    of_layer = tfvid.GradCAM(toy_models.build("functional"))(toy_models.clips(2))
    assert "<th>layer<td>conv: the last layer that makes a feature map" in of_layer._repr_html_()
    joined = type(of_layer).join([of_layer, of_layer])
    assert joined.layer_in_words == of_layer.layer_in_words
    assert type(of_layer).join([of_layer, maps]).layer_in_words == ""


def test_show_draws_one_figure(monkeypatch):
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    attribution().show(class_names=["a", "b"])
    (figure,) = shown
    assert figure.axes[0].images[0].get_array().shape[-1] == 3
    plt.close(figure)


def test_repr_is_short():
    assert repr(attribution()) == (
        "Attribution(target=[0, 1], predicted=[0, 0], score=[0.25, 0.25], attribution=float32 (2, 6, 8, 8))"
    )
    assert repr(attribution(7)).startswith("Attribution(target=[0, 1, 2, 3, 4, 5, ...], ")


def test_explainers_keep_the_clips_for_the_picture(tmp_path):
    given = toy_models.clips(2)
    result = tfvid.Gradient(toy_models.build("functional"))(given)
    assert result.clips is given
    with Image.open(result.save(tmp_path / "x.gif")) as film:
        assert film.n_frames == 6


def test_clips_of_any_values_and_channels_can_be_shown():
    explanation = attribution()
    picture = tfvid.report.explanation_picture
    for other in (510 * clips() - 255, (255 * clips()).astype(np.uint8), clips()[..., :1]):
        assert picture.Pictured(explanation, other).panels(0)[0].frames.shape[-1] == 3
    stretched = picture.Pictured(explanation, 510 * clips() - 255).panels(0)[0].frames
    assert (stretched.min(), stretched.max()) == (0, 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "x.bmp"}, r"unknown kind of picture '.bmp'; .* valid: .gif, .webp, .mp4, .png, .html"),
        ({"clips": np.zeros((3, T, H, W, 3))}, r"clips: expected \(2, 6\) clips and frames, got \(3, 6\)"),
        ({"clips": np.zeros((2, 5, H, W, 3))}, r"clips: expected \(2, 6\) clips and frames, got \(2, 5\)"),
        ({"clips": np.zeros((T, H, W, 3))}, r"clips: expected shape \(B, T, H, W, C\), got \(6, 8, 8, 3\)"),
        ({"class_names": ["a"]}, "class_names: expected 2 names or more, got 1"),
        ({"indices": [2]}, r"indices: expected one or more from 0 to 1, got \[2\]"),
        ({"indices": []}, r"indices: expected one or more from 0 to 1, got \[\]"),
    ],
)
def test_what_does_not_fit(options, message, tmp_path):
    options = {"path": "x.png"} | options
    with pytest.raises(TfvidError, match=message):
        attribution().save(tmp_path / options.pop("path"), **options)
    assert not list(tmp_path.iterdir())


def test_without_clips_there_is_no_picture(tmp_path):
    with pytest.raises(TfvidError, match="clips: expected the explained clips, got None, .* pass them as `clips`"):
        dataclasses.replace(attribution()).save(tmp_path / "x.png")


def test_no_warning_on_the_way(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masked().save(tmp_path / "x.webp")
