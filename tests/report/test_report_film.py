"""Films, contact sheets and reels, read back from the files."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from tfvid.core.errors import TfvidError
from tfvid.report.film import compose, panels, save
from tfvid.report.reel import grid, save_reel
from tfvid.report.sheet import Block, draw_blocks, save_sheet

MASK = np.array([0, 0.2, 0.9, 1, 0], np.float32)


@pytest.fixture(scope="module")
def columns():
    """Five frames, each of one grey of its own, so that a frame can be told by its pixels."""
    clip = np.repeat(np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32), 22 * 33 * 3).reshape(5, 22, 33, 3)
    return panels(clip, {"grad_cam": np.zeros((5, 2, 2))}, clip[[0, 1, 1, 1, 4]])


@pytest.fixture(scope="module")
def film(columns):
    return compose(columns, MASK, caption="left to right 0.87", note="a note", event=(1, 4))


def greys(image):
    """The grey in the middle of each of the three columns."""
    pixels = np.asarray(image.convert("RGB"))
    height, width = 176, 264
    middle = 12 + 24 + 20 + 24 + height // 2
    lefts = [12 + index * (width + 8) + width // 2 - 20 for index in range(3)]
    return [round(pixels[middle - 20 : middle + 20, left : left + 40].mean()) for left in lefts]


def test_columns_are_clip_overlay_and_frozen(film, columns):
    assert [column.title for column in columns] == ["clip", "Grad-CAM", "frozen"]
    assert columns[0].frames.shape == (5, 176, 264, 3)
    assert [greys(frame) for frame in film] == [
        [26, 26, 26],
        [77, 77, 77],
        [128, 128, 77],
        [179, 179, 77],
        [230, 230, 230],
    ]


def test_the_strip_highlights_each_frame_in_turn(film):
    """From frame to frame only the highlight, the pictures and the counter move."""
    strips = [np.asarray(frame)[-45:, : 12 + 3 * 264 + 16 - 60].astype(int) for frame in film]
    white = [np.flatnonzero((strip > 230).all(-1).any(0)) for strip in strips]
    centres = [columns.mean() for columns in white]
    assert centres == sorted(centres) and len(set(centres)) == 5


def test_sizes_are_even(film):
    assert all(extent % 2 == 0 for extent in film[0].size)
    odd = panels(
        np.zeros((2, 201, 203, 3), np.uint8), {"grad_cam": np.zeros((2, 1, 1))}, np.zeros((2, 201, 203, 3), np.uint8)
    )
    assert all(extent % 2 == 0 for extent in compose(odd, [0, 1])[0].size)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_come_back(film, tmp_path, suffix):
    path = save(tmp_path / "new" / f"film{suffix}", film, fps=4)
    with Image.open(path) as image:
        assert image.n_frames == 5 and image.size == film[0].size and image.info["loop"] == 0
        for frame, original in zip(ImageSequence.Iterator(image), film, strict=True):
            frame.load()
            assert frame.info["duration"] == 250
            np.testing.assert_allclose(greys(frame), greys(original), atol=6)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_gif_frames_share_one_palette(tmp_path):
    """256 colours for the whole film, so that a still part of the picture does not flicker."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)
    save(tmp_path / "film.gif", [Image.fromarray(frame) for frame in noise])
    with Image.open(tmp_path / "film.gif") as image:
        pixels = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    assert len(pixels) == 4 and len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 256


def test_mp4_comes_back(film, tmp_path):
    path = save(tmp_path / "film.mp4", film, fps=4)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 4
    frames = [Image.fromarray(frame[..., ::-1]) for ok, frame in iter(capture.read, (False, None)) if ok]
    assert len(frames) == 5 and frames[0].size == film[0].size
    for frame, original in zip(frames, film, strict=True):
        np.testing.assert_allclose(greys(frame), greys(original), atol=6)


@pytest.mark.parametrize(
    ("name", "frames", "fps", "message"),
    [("film.avi", 1, 5, "unknown film format '.avi'"), ("film.gif", 0, 5, "got 0 frames"), ("film.gif", 1, 0, "fps 0")],
)
def test_what_cannot_be_written_is_named(film, tmp_path, name, frames, fps, message):
    with pytest.raises(TfvidError, match=message):
        save(tmp_path / name, film[:frames], fps)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_film(film, tmp_path, monkeypatch):
    path = save(tmp_path / "film.gif", film)
    before = path.read_bytes()

    def full(self, file, **_):
        file.write_bytes(b"GIF89a half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        save(path, film)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_columns_that_do_not_agree(columns):
    with pytest.raises(TfvidError, match="columns of one shape"):
        compose(columns, MASK[:4])


def test_sheet_has_a_row_a_panel_and_a_column_a_frame(columns, tmp_path):
    sheet = draw_blocks([Block(columns, MASK)], title="left to right 0.87", note="note", event=(1, 4))
    path = save_sheet(tmp_path / "sheet.png", sheet)
    with Image.open(path) as image:
        pixels = np.asarray(image)
        assert round(image.info["dpi"][0]) == 220
    # The frames are the only large areas of exactly their grey.
    rows_of = {grey: np.flatnonzero((pixels == grey).all(-1).sum(1) > 100) for grey in (26, 77, 128, 179, 230)}
    columns_of = {grey: np.flatnonzero((pixels == grey).all(-1).sum(0) > 60) for grey in rows_of}
    starts = [columns_of[grey].min() for grey in rows_of]
    assert starts == sorted(starts) and len(set(starts)) == 5
    height = round(136 * 176 / 264)
    assert len(rows_of[26]) == 3 * height  # frame 1 is in all three rows
    assert len(rows_of[128]) == 2 * height  # frame 3 is not in the frozen one: frame 2 stands there
    assert len(columns_of[77]) == 3 * 136


def test_sheet_of_a_long_clip_shows_evenly_spread_frames():
    clip = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 20, 20, 3), np.uint8)
    rows = panels(clip, {"grad_cam": np.zeros((40, 1, 1))}, clip)
    sheet = np.asarray(draw_blocks([Block(rows, np.zeros(40))], columns=4))
    shown = [grey for grey in range(40) if ((sheet == grey).all(-1)).sum() >= 3 * 136 * 136]
    assert shown == [0, 13, 26, 39]


@pytest.mark.parametrize(("length", "height"), [(1, 200), (16, 224), (32, 240), (71, 224), (72, 224), (300, 360)])
def test_reel_fits_webp_and_holds_every_frame(length, height):
    columns, rows = grid(length, height)
    assert rows * height <= 16383 and (rows - 1) * columns < length <= rows * columns


def test_reel_cells(columns, tmp_path):
    path = save_reel(tmp_path / "reel.webp", columns)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape == (5 * 176, 3 * 264, 3)
    middles = pixels[88::176, 132::264].mean(-1)
    np.testing.assert_allclose(middles[:, 0], [26, 77, 128, 179, 230], atol=4)
    np.testing.assert_allclose(middles[:, 2], [26, 77, 77, 77, 230], atol=4)
