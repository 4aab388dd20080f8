"""The page in a real Chromium, opened from disk: what shows, plays, pauses, filters and cannot be injected."""

import io
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from browser import available, started
from PIL import Image
from toy_results import make

from tfvid.report.gallery import write_gallery
from tfvid.report.media import Films, write_media
from tfvid.report.overlay import overlay
from tfvid.results.result_store import ResultStore

pytestmark = pytest.mark.skipif(not available(), reason="needs chromium and chromedriver")

EVIL = "<img src=x onerror=\"document.title='hacked'\">'\"&lt;"
LENGTH = 8


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Three clips, two models. Frame t of a clip is grey 10 + 30 t; the frozen copy stands still on frame 1."""
    out = tmp_path_factory.mktemp("run")
    clip = np.full((LENGTH, 32, 32, 3), 1.0, np.float32) * (10 + 30 * np.arange(LENGTH))[:, None, None, None] / 255
    mask = np.array([0, 0, 1, 1, 1, 0.3, 0, 0], np.float32)
    frozen = clip[[0, 1, 1, 1, 1, 5, 6, 7]]
    names = ["left", "right", EVIL]
    store = ResultStore(out)
    for label, id in enumerate(["first", "second", EVIL]):
        for shift, model in enumerate(["i3d", "c_lstm"]):
            predicted = label if (label + shift) % 2 == 0 else (label + 1) % 3
            record = make(
                id,
                model,
                label=label,
                label_name=names[label],
                predicted=predicted,
                predicted_name=names[predicted],
                target=predicted,
                target_name=names[predicted],
                mask=mask,
                mask_length=3,
                size=(32, 32),
                event=(2, 6),
                temporal_iou=0.75,
                temporal_iou_random=0.25,
                temporal_iou_centred=0.5,
                top=(predicted, label) if predicted != label else (label, (label + 1) % 3),
                top_names=(names[predicted], names[label if predicted != label else (label + 1) % 3]),
                top_scores=np.float32([0.75, 0.25]),
                damage=EVIL if id == "second" else "",
                still=id == "second",
                map_layer=f"conv: {EVIL}",
                seconds=np.arange(LENGTH, dtype=np.float32) / 4 if id == "second" else np.zeros(0, np.float32),
            )
            store.append(
                [write_media(record, out, clip, {"grad_cam": np.zeros((LENGTH, 2, 2))}, frozen, None, Films(("webp",)))]
            )
    return write_gallery(out, skipped={EVIL: EVIL}).as_uri()


@pytest.fixture
def fresh(browser, page):
    """The page just opened, its films loaded, standing still as reduced motion asks."""
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    browser.open(page)
    browser.until("cards.every((card) => !card.visible || card.films.every((film) => film.reel))")
    return browser


def pixel(browser, selector: str) -> tuple[int, int, int]:
    """The colour on the screen at the middle of an element."""
    browser.script("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", selector)
    browser.script("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y = browser.script(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]",
        selector,
    )
    with Image.open(io.BytesIO(browser.screenshot())) as image:
        return image.convert("RGB").getpixel((round(x), round(y)))


def visible(browser) -> list[str]:
    return browser.script(
        "return cards.filter((c) => !c.element.hidden).map((c) => c.element.querySelector('h2').textContent)"
    )


def test_it_opens_from_disk_without_a_complaint(fresh):
    assert fresh.script("return document.title") == "What the models look at, and when"
    assert fresh.errors() == []
    assert visible(fresh) == ["left", "right", EVIL]
    head = fresh.script("return [...document.querySelectorAll('.summary thead th')].map((e) => e.innerText)")
    assert head[-3:] == ["temporal IoU", "random", "centred"]


def test_markup_in_names_stays_text(fresh):
    assert fresh.script("return document.title") != "hacked"
    assert fresh.script("return document.querySelectorAll('img').length") == 0
    assert fresh.script("return cards[2].element.querySelector('.id').textContent") == EVIL
    listed = fresh.script("return document.querySelector('.top li').innerText")
    assert listed in ("", f"{EVIL}: {EVIL}")  # folded away
    options = fresh.script("return [...form.elements['label'].options].map((o) => o.value)")
    assert EVIL in options


def test_reduced_motion_shows_a_still_of_a_frozen_frame(fresh):
    assert fresh.script("return cards.some((card) => card.playing)") is False
    assert fresh.script("return cards[0].films[0].slider.value") == "4"  # the middle of frames 3 to 5
    assert abs(pixel(fresh, ".panes figure:nth-child(1) canvas")[0] - 100) < 8
    assert abs(pixel(fresh, ".panes figure:nth-child(3) canvas")[0] - 40) < 8  # frozen on frame 2
    fresh.script("return new Promise((done) => setTimeout(done, 600))")
    assert fresh.script("return cards[0].films[0].slider.value") == "4"


def test_films_play_in_step_and_pause(browser, page):
    browser.emulate(prefers_reduced_motion="no-preference", prefers_color_scheme="light")
    browser.open(page)
    assert browser.script("return cards.every((card) => card.playing)")
    assert browser.script("return document.getElementById('play-all').innerText") == "Pause all"
    browser.until("cards[0].frame === 3")
    browser.until("cards[0].frame === 5")
    values = browser.script("return cards[0].films.map((film) => film.slider.value)")
    assert values[0] == values[1]
    browser.script("document.getElementById('play-all').click()")
    stopped = browser.script("return cards.map((card) => card.frame)")
    browser.script("return new Promise((done) => setTimeout(done, 600))")
    assert browser.script("return cards.map((card) => card.frame)") == stopped
    pressed = browser.script("return document.getElementById('play-all').getAttribute('aria-pressed')")
    assert pressed == "false"
    browser.script("cards[0].button.click()")
    assert browser.script("return cards.map((card) => card.playing)") == [True, False, False]


def test_keyboard_steps_through_the_frames(fresh):
    fresh.script("cards[0].films[1].slider.focus()")
    fresh.press("right")
    assert fresh.script("return cards[0].films.map((film) => film.slider.value)") == ["5", "5"]
    fresh.press("left", "left", "left")
    assert fresh.script("return cards[0].films.map((film) => film.slider.value)") == ["2", "2"]
    said = fresh.script("return cards[0].films[0].slider.getAttribute('aria-valuetext')")
    assert said == "frame 2 of 8, kept, mask 0.00"
    fresh.script("show(cards[1], 5)")
    assert fresh.script("return cards[1].films[0].now.textContent") == "frame 6 of 8 · 1.25 s · kept · mask 0.30"
    assert abs(pixel(fresh, ".panes figure:nth-child(1) canvas")[0] - 40) < 8


def test_every_control_is_reached_by_tab_and_named(fresh):
    names = []
    fresh.script("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(70):
        fresh.press("tab")
        names.append(
            fresh.script(
                "const e = document.activeElement, label = e.labels && e.labels[0];"
                "return e.getAttribute('aria-label') || (label && label.innerText) || e.innerText"
            )
        )
    for name in ("Skip to the clips", "How to read this page", "Search", "Play all", "Frame, i3d", "Frame, c_lstm"):
        assert any(name in (found or "") for found in names), (name, names)
    assert any("Play or pause left" in (found or "") for found in names)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"search": "RIGHT sec"}, ["right"]),
        ({"label": "left"}, ["left"]),
        ({"label": EVIL}, [EVIL]),
        ({"outcome-0": "right"}, ["left", EVIL]),
        ({"outcome-0": "wrong"}, ["right"]),
        ({"outcome-1": "wrong", "search": "first"}, ["left"]),
        ({"outcome-0": "right", "label": "right"}, []),
    ],
)
def test_search_and_filters(fresh, choices, expected):
    for name, value in choices.items():
        fresh.script(
            "const e = form.elements[arguments[0]]; e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', { bubbles: true }))",
            name,
            value,
        )
    assert visible(fresh) == expected
    assert fresh.script("return document.getElementById('count').innerText") == f"{len(expected)} of 3 clips"
    assert fresh.script("return document.getElementById('none').hidden") is bool(expected)


def test_the_strip_marks_mask_event_and_frame(fresh):
    cells = fresh.script("return [...document.querySelector('.strip').children].map((r) => r.getAttribute('class'))")
    assert cells == ["kept", "kept", "perturbed", "perturbed", "perturbed", "kept", "kept", "kept"]
    look = "return getComputedStyle(document.querySelector(arguments[0])).backgroundImage"
    assert "repeating-linear-gradient" in fresh.script(look, ".strip .perturbed")  # hatched: to be told without colour
    assert "repeating" not in fresh.script(look, ".strip .kept")
    box = "const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.right]; };"
    strip, event = fresh.script(
        box + "const film = cards[0].element.querySelector('.film');"
        "return [box(film.querySelector('.strip')), box(film.querySelector('.event'))]"
    )
    cell = (strip[1] - strip[0]) / LENGTH
    np.testing.assert_allclose(event, [strip[0] + 2 * cell, strip[0] + 6 * cell], atol=1)


def test_top_classes_and_notes(fresh):
    """Of the first clip the first model is right; the second clip is damaged and its frames are identical."""
    listed = fresh.script(
        "return [...cards[0].element.querySelectorAll('.top-classes')].map((list) =>"
        "[...list.querySelectorAll('li')].map((item) => item.innerText.replace(/\\s+/g, ' ').trim()))"
    )
    assert listed == [["left explained, true 0.75", "right 0.25"], ["right explained 0.75", "left true 0.25"]]
    bars = fresh.script(
        "return [...cards[0].element.querySelector('.top-classes').querySelectorAll('li')].map((item) =>"
        "item.querySelector('.bar').getBoundingClientRect().width / item.getBoundingClientRect().width)"
    )
    np.testing.assert_allclose(bars, [0.75, 0.25], atol=0.01)
    notes = fresh.script(
        "cards[1].element.scrollIntoView();"
        "return cards.map((card) => [...card.element.querySelectorAll('.doubt')].map((note) => note.innerText))"
    )
    still = "All 8 frames of this clip are identical: the mask says nothing about time."
    assert notes[0] == [] and notes[1] == [f"Damaged file: {EVIL}", still, still]


def test_dark_mode_follows_the_system(fresh):
    light = fresh.script("return getComputedStyle(document.body).backgroundColor")
    fresh.emulate(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    dark = fresh.script("return getComputedStyle(document.body).backgroundColor")
    assert light == "rgb(246, 247, 249)" and dark == "rgb(16, 18, 22)"


def test_films_load_only_when_they_come_near(browser, page):
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    browser.devtools("Emulation.setDeviceMetricsOverride", width=1200, height=200, deviceScaleFactor=1, mobile=False)
    try:
        browser.open(page)
        browser.until("cards.length === 3")
        browser.script("return new Promise((done) => setTimeout(done, 300))")
        assert browser.script("return Boolean(cards[2].wanted)") is False
        browser.script("cards[2].element.scrollIntoView()")
        browser.until("cards[2].films.every((film) => film.reel)")
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride")


def test_a_missing_film_says_so(fresh, page, tmp_path):
    """The page alone, moved away from its films."""
    alone = tmp_path / "index.html"
    with open(unquote(urlsplit(page).path), encoding="utf-8") as file:
        alone.write_text(file.read(), encoding="utf-8")
    fresh.open(alone.as_uri())
    fresh.until("document.querySelector('.panes.missing')")


def test_without_scripts_the_animated_films_show(browser, page):
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        source = browser.devtools("DOM.getDocument", depth=-1)
        assert "noscript" in str(source).lower() and ".webp" in str(source)
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
        assert browser.script("return document.documentElement.className") == "no-js"
        assert browser.script("return document.querySelectorAll('noscript img, .film > img').length") == 6
        assert browser.script("return document.querySelectorAll('.panes, canvas').length") == 0
        assert browser.script("return getComputedStyle(document.querySelector('form')).display") == "none"
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)


def test_the_layer_of_the_map_is_said(fresh):
    said = fresh.script("return [...document.querySelectorAll('.model .map')].map((line) => line.textContent)")
    assert set(said) == {f"Grad-CAM of layer conv: {EVIL}."}


METHODS = {"grad_cam": 1.0, "rise": 0.5}  # the heat of each method's map, in all pixels and frames


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> str:
    """A clip of mid grey, with the maps of two methods; a second clip without a film of its own."""
    out = tmp_path_factory.mktemp("compared")
    clip = np.full((LENGTH, 32, 32, 3), 0.5, np.float32)
    heats = {name: np.full((LENGTH, 2, 2), value, np.float32) for name, value in METHODS.items()}
    record = make("one", mask=np.eye(1, LENGTH, 3, np.float32)[0], size=(32, 32), sheet="a.png", more_methods=("rise",))
    record = write_media(replace(record, more_layers=("",)), out, clip, heats, clip, None, Films(()))
    ResultStore(out).append([record, replace(record, id="two = 2 & more")])
    return write_gallery(out).as_uri()


@pytest.fixture
def two_maps(browser, compared):
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    browser.open("about:blank")
    browser.errors()  # those of other pages
    browser.open(compared)
    browser.until("cards[0].films.every((film) => film.reel)")
    return browser


def choose(browser, name: str, value: str):
    browser.script(
        "const e = form.elements[arguments[0]]; e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', { bubbles: true }))",
        name,
        value,
    )


def shown_maps(browser, card: int) -> list[str]:
    figures = "[...cards[arguments[0]].body.querySelectorAll('[data-map]:not([hidden])')]"
    return browser.script(f"return {figures}.map((figure) => figure.dataset.map)", card)


def test_maps_have_the_chosen_colours_and_opacity(two_maps):
    """The expected colour is that of `overlay`, which draws the films."""
    clip = np.full((1, 4, 4, 3), 128, np.uint8)
    for colormap, opacity in (("inferno", 0.75), ("viridis", 1.0), ("jet", 0.5)):
        choose(two_maps, "colormap", colormap)
        choose(two_maps, "opacity", str(opacity))
        for name, heat in (("Grad-CAM", 1.0), ("rise", 0.5)):
            wanted = overlay(clip, np.full((1, 1, 1), heat), colormap=colormap, opacity=opacity)[0, 0, 0]
            found = pixel(two_maps, f"[data-map='{name}'] .stack")
            np.testing.assert_allclose(found, wanted.astype(int), atol=8, err_msg=f"{colormap} {name}")
    assert two_maps.errors() == []


def test_maps_are_switched_for_all_clips_and_for_one(two_maps):
    two_maps.script("fill(cards[1])")
    assert shown_maps(two_maps, 0) == shown_maps(two_maps, 1) == ["Grad-CAM", "rise"]
    choose(two_maps, "map", "rise")
    assert shown_maps(two_maps, 0) == shown_maps(two_maps, 1) == ["rise"]
    two_maps.script("cards[1].maps.value = 'Grad-CAM'; cards[1].maps.dispatchEvent(new Event('change'))")
    assert (shown_maps(two_maps, 0), shown_maps(two_maps, 1)) == (["rise"], ["Grad-CAM"])


def test_a_link_names_a_clip_and_a_view(two_maps, compared):
    choose(two_maps, "map", "rise")
    choose(two_maps, "colormap", "viridis")
    two_maps.script("fill(cards[1]); show(cards[1], 5); cards[1].link.click()")
    address = two_maps.script("return location.hash")
    assert address == "#clip=two+%3D+2+%26+more&map=rise&colormap=viridis&frame=6"
    two_maps.open("about:blank")
    two_maps.open(compared + address)
    two_maps.until("cards[1].films.every((film) => film.reel) && cards[1].films.length")
    state = "return [form.elements.map.value, form.elements.colormap.value, cards[1].frame, used === cards[1]]"
    assert two_maps.script(state) == ["rise", "viridis", 5, True]
    two_maps.script("cards[0].link.click()")
    two_maps.until("used === cards[0]")
    two_maps.script("history.back()")
    two_maps.until("used === cards[1] && cards[1].element.classList.contains('linked')")


def test_keys_play_and_step_and_a_click_enlarges(two_maps):
    two_maps.script("document.activeElement.blur(); window.scrollTo(0, 0); show(cards[0], 3)")
    two_maps.press("right", "right", "left")
    assert two_maps.script("return [cards[0].frame, cards[1].frame]") == [4, 3]
    two_maps.press("space")
    assert two_maps.script("return cards[0].playing") is True
    width = "return document.querySelector(\"[data-map='rise']\").getBoundingClientRect().width"
    small = two_maps.script(width)
    two_maps.click("[data-map='rise'] .enlarge")
    assert two_maps.script(width) > 1.8 * small
    two_maps.script("document.activeElement.blur()")
    two_maps.press("\ue00c")  # Escape
    assert two_maps.script(width) == small


def test_a_table_of_the_clip_is_saved(two_maps):
    rows = two_maps.script("return tableOf(cards[1].clip, cards[1].clip.rows[0])")
    assert rows[0] == ["clip", "model", "explained", "frame", "second", "mask", "OS", "FS", "RS", "CS"]
    assert rows[4] == ["two = 2 & more", "i3d", "right", 4, None, 1, 0.75, 0.25, 0.5, 0.125] and len(rows) == 9


def test_on_a_phone_the_first_clip_is_on_the_first_screen(browser, compared):
    browser.devtools("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    try:
        browser.open("about:blank")
        browser.open(compared)
        assert browser.script("return document.documentElement.scrollWidth") <= 390
        assert browser.script("return document.querySelector('canvas').getBoundingClientRect().bottom") <= 844
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride")
