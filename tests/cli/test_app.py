"""``tfvid app``: its options, its answers, and the page in a real Chromium."""

import html
import re
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from browser import available, started
from small_videos import write_video

from tfvid.cli import app_page
from tfvid.cli.app import main, method_options
from tfvid.cli.video_answer import VideoExplainer, answer_html, refusal_html
from tfvid.core.errors import ConfigError, TfvidError, VideoError
from tfvid.models.card import ModelCard
from tfvid.models.loaded import Loaded

EVIL = "<img src=x onerror=\"document.title='hacked'\">"
OPTIONS = {"temporal_mask": {"method": "search"}}


@pytest.fixture(scope="module")
def loaded():
    """A model of clips 4x8x8 with three classes, one named as markup; bright clips are of class "bright"."""
    inputs = keras.Input((4, 8, 8, 3))
    features = keras.layers.Conv3D(2, 1, name="features", kernel_initializer="ones")(inputs)
    scores = keras.layers.Dense(3, kernel_initializer=keras.initializers.Constant([[3, 0, 0.1]] * 2))(
        keras.layers.GlobalAveragePooling3D()(features)
    )
    model = keras.Model(inputs, scores)
    card = ModelCard("toy", ("bright", EVIL, "dark"), 4, (8, 8), note=f"Made by hand. {EVIL}")
    return Loaded("toy", "toy", model, card, 4, (8, 8))


@pytest.fixture(scope="module")
def explain(loaded):
    with VideoExplainer(loaded, OPTIONS) as explain:
        yield explain


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "up.mp4", 20, (24, 32))


def test_options_of_methods():
    assert method_options([]) == {"temporal_mask": {"method": "search+gradient"}}
    assert method_options(["rise.masks=50", "temporal_mask.iterations=3"]) == {
        "temporal_mask": {"method": "search+gradient", "iterations": 3},
        "rise": {"masks": 50},
    }
    with pytest.raises(TfvidError, match="unknown method 'rize'; did you mean 'rise'"):
        method_options(["rize.masks=50"])
    with pytest.raises(ConfigError, match="expected METHOD.OPTION=VALUE, e.g. rise.masks=500, got rise=50"):
        method_options(["rise=50"])


def test_an_unknown_method_is_refused_before_tensorflow(monkeypatch):
    monkeypatch.setattr("tfvid.cli.app.load_tensorflow", lambda: pytest.fail("loaded"))
    with pytest.raises(TfvidError, match="'grad_cm'; did you mean 'grad_cam'"):
        main(["--model", "any", "--method", "grad_cm"])


def test_an_answer(explain, video):
    """A film of rising brightness, explained by two methods."""
    answer = explain(video, ["temporal_mask", "grad_cam"], "bright")
    assert [name for name, _ in answer.top] == ["bright", "dark", EVIL]
    assert sum(score for _, score in answer.top) == pytest.approx(1)
    assert answer.clip.frames.shape == (4, 24, 32, 3)  # the original frames, not the model's 8x8
    assert answer.clip.seconds == pytest.approx([0, 6 / 25, 13 / 25, 19 / 25])
    assert answer.clip.mask.shape == (4,) and list(answer.clip.heat) == ["grad_cam"]
    page = answer_html(answer)
    assert page.count("data:image/webp;base64,") == 2 and "Film: clip" in page and "Film: Grad-CAM" in page
    assert page.count('title="frame ') == 4 and "0.76 s" in page
    assert EVIL not in page and html.escape(EVIL, quote=False).split()[0] in page


def test_a_class_that_is_not_the_predicted_one(explain, video):
    answer = explain(video, ["gradient"], "dark")
    page = answer_html(answer)
    assert answer.clip.target == "dark" and "Explained class: <b>dark</b>" in page
    assert answer.clip.mask is None and "tfvid-strip" not in page and answer.is_trusted is None


def test_refusals(explain, tmp_path):
    with pytest.raises(TfvidError, match="methods: expected one or more, got none"):
        explain(tmp_path / "x.mp4", [])
    with pytest.raises(VideoError) as error:
        explain(tmp_path / "x.mp4", ["gradient"])
    page = refusal_html(error.value, tmp_path / "x.mp4")
    assert "x.mp4: no such file" in page and str(tmp_path) not in page
    assert EVIL not in refusal_html(TfvidError(EVIL))


@pytest.fixture(scope="module")
def address(explain):
    """The app on a free port."""
    gradio = pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfvid[app]'")
    page = app_page.build(gradio, explain, ("temporal_mask", "grad_cam"))
    _, url, share = app_page.launch(page, "127.0.0.1", 0, 1, wait=False)
    assert share is None
    yield url
    page.close()


def test_no_file_of_the_machine_can_be_read(address):
    for path in ("/etc/passwd", __file__):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{address}gradio_api/file={path}")


def test_the_page_asks_no_other_server(address):
    text = urllib.request.urlopen(address).read().decode()
    fetched = re.findall(r'(?:href|src)="(https?://[^"]+)"', text)
    assert [url for url in fetched if "127.0.0.1" not in url] == []


@pytest.mark.long
@pytest.mark.skipif(not available(), reason="needs chromium and chromedriver")
def test_a_video_is_dropped_and_explained(address, video, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(video.read_bytes() + bytes(np.zeros(2 << 20, np.uint8)))
    with started(tmp_path / "profile") as browser:
        browser.open(address)
        browser.until("document.querySelector('input[type=file]')")
        browser.choose_file("input[type=file]", video)
        browser.until("document.querySelectorAll('#answer .tfvid-films img').length === 2", 60)
        assert browser.script("return document.querySelectorAll('#answer .tfvid-strip span').length") == 4
        assert browser.script("return [...document.querySelectorAll('#answer img')].every((one) => one.naturalWidth)")
        assert browser.script("return document.title") == "tfvid: toy"
        browser.devtools("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.script(wide) <= 0
        browser.open(address)  # a file above the limit of 1 MB is refused by the server
        browser.until("document.querySelector('input[type=file]')")
        browser.choose_file("input[type=file]", large)
        browser.until("document.body.innerText.includes('exceed')")
        assert browser.script("return document.querySelectorAll('#answer img').length") == 0
