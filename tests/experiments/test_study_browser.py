"""A study's page in a real Chromium, opened from disk: sorting, choosing, pointing at frames, printing, many clips."""

from dataclasses import replace

import numpy as np
import pytest
from browser import available, started
from toy_report import report
from toy_results import make

from tfvid.report.media import Films, write_media
from tfvid.report.study_page import write_study_page
from tfvid.results.result_store import ResultStore

pytestmark = pytest.mark.skipif(not available(), reason="needs chromium and chromedriver")

EVIL = "<img src=x onerror=\"document.title='hacked'\">'\"&lt;"
LENGTH = 8
GROUPS = {"I3D": ("i3d_0", "i3d_1"), "C-LSTM": ("lstm_0", EVIL)}
# Mask length by clip and model, and whether the model is right.
LENGTHS = {"a": (2, 4, 6, 6), "b": (5, 5, 1, 3), "c": (None, None, 8, 6), "d": (1, 1, 1, 1)}
RIGHT = {"a": "1111", "b": "1100", "c": "0011", "d": "1000"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Four clips, two groups of two models; the films are there for the first model of each group only."""
    out = tmp_path_factory.mktemp("study")
    clip = np.full((LENGTH, 32, 32, 3), 0.5, np.float32)
    mask = np.array([0, 0, 1, 1, 0, 0, 0, 0], np.float32)
    models = [model for group in GROUPS.values() for model in group]
    for id in LENGTHS:
        for index, model in enumerate(models):
            right = RIGHT[id][index] == "1"
            record = make(id, model, label=0, label_name=EVIL, predicted=0 if right else 1, mask=mask, size=(32, 32))
            if index % 2 == 0:
                record = write_media(record, out, clip, {"grad_cam": np.zeros((LENGTH, 2, 2))}, clip, None, Films(()))
            ResultStore(out).append([record])
    return write_study_page(out, report(LENGTHS, GROUPS)).as_uri()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """500 clips, two models; all show one film."""
    out = tmp_path_factory.mktemp("many")
    clip = np.full((LENGTH, 32, 32, 3), 0.5, np.float32)
    drawn = make("0", label=0, label_name="left", mask=np.zeros(LENGTH, np.float32), size=(32, 32))
    drawn = write_media(drawn, out, clip, {"grad_cam": np.zeros((LENGTH, 2, 2))}, clip, None, Films(("webp",)))
    groups = {"I3D": ("i3d",), "C-LSTM": ("lstm",)}
    clips = {f"validation-{number:06d}": (number % 9, number % 7) for number in range(500)}
    ResultStore(out).append([replace(drawn, id=id, model=model) for id in clips for model in ("i3d", "lstm")])
    return write_study_page(out, report(clips, groups))


def open_clips(browser, page: str):
    """Opens the part of a study's page that has the clips."""
    browser.open("about:blank")  # a page that is open already is not loaded again for another part
    browser.open(page + "#clips")


@pytest.fixture
def fresh(browser, page):
    """The page just opened, its films loaded, standing still."""
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    open_clips(browser, page)
    browser.until("cards[0].visible || (form.scrollIntoView(), false)")
    browser.until("cards[0].films.filter((film) => film.row.reel).every((film) => film.reel)")
    return browser


def choose(browser, **choices: str):
    for name, value in choices.items():
        browser.script(
            "const e = form.elements[arguments[0]]; e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', { bubbles: true }))",
            name.replace("_", "-"),
            value,
        )


def ids(browser) -> list[str]:
    """Of the clips to be seen, in the order of the page."""
    return browser.script(
        "return [...document.querySelectorAll('.card:not([hidden])')].map((e) => run.clips[e.dataset.index].id)"
    )


def move_mouse(browser, selector: str, share: float):
    """Points into an element, `share` of its width from the left; below it where share is None."""
    x, y, width = browser.script(
        "const e = document.querySelector(arguments[0]); e.scrollIntoView({ block: 'center' });"
        "const b = e.getBoundingClientRect(); return [b.left, b.top, b.width]",
        selector,
    )
    place = (2, 2) if share is None else (x + share * width, y + 10)
    browser.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])


def test_it_opens_from_disk_without_a_complaint(fresh):
    assert fresh.errors() == []
    assert fresh.script("return document.title") == "A study"
    assert fresh.script("return document.querySelectorAll('img').length") == 0
    parts = fresh.script("return [...document.querySelectorAll('nav a')].map((a) => a.innerText)")
    assert parts == ["Findings", "Histograms", "Tables", "Notes", "Clips"]
    assert fresh.script("return document.querySelectorAll('svg.histogram path.g1').length") == 2  # bars and mean


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"sort": "mask_length", "of": "0"}, "badc"),  # 5, 3, 1, none: those without a value are last
        ({"sort": "mask_length", "of": "0", "order": "1"}, "dabc"),
        ({"sort": "mask_length", "of": "1"}, "cabd"),  # 7, 6, 2, 1
        ({"sort": "mask_length", "of": "difference"}, "bdac"),  # 3, 0, -3, none
        ({"sort": "mask_length", "of": "1", "outcome_0": "right"}, "ab"),
        ({"outcome_0": "mixed"}, "d"),
        ({"outcome_0": "wrong"}, "c"),
        ({"outcome_0": "right", "outcome_1": "wrong"}, "b"),
        ({"label": EVIL}, "abcd"),
        ({"search": "no such clip"}, ""),
    ],
)
def test_sorting_and_choosing(fresh, choices, expected):
    choose(fresh, **choices)
    assert ids(fresh) == list(expected)


def test_sorting_is_undone(fresh):
    choose(fresh, sort="mask_length", of="1")
    assert fresh.script("return cards[0].ranked.textContent") == "mask length: I3D 3 · C-LSTM 6"
    choose(fresh, sort="")
    assert ids(fresh) == list("abcd")
    assert fresh.script("return cards[0].ranked.textContent") == ""


def test_a_histogram_sorts_the_clips(fresh):
    fresh.click(".parts a[href='#histograms']")
    fresh.click("[data-sort=mask_length]")
    assert fresh.script("return form.elements.sort.value") == "mask_length"
    assert ids(fresh) == list("bdac")
    assert fresh.script("return document.activeElement.name") == "sort"


def test_of_many_models_the_first_of_each_group_is_shown(fresh):
    names = "return cards[0].films.map((film) => run.models[film.row.model].name)"
    assert fresh.script(names) == ["i3d_0", "lstm_0"]
    fresh.click("[name=show][value='3']")
    assert fresh.script(names) == ["i3d_0", "lstm_0", EVIL]
    fresh.click("[name=show][value='3']")
    fresh.click("[name=show][value='2']")
    assert fresh.script(names) == ["i3d_0"]
    assert fresh.script("return main.classList.contains('single')") is True


def test_a_model_without_films_shows_its_mask_and_numbers(fresh):
    fresh.click("[name=show][value='3']")
    assert fresh.script("return cards[0].films[2].element.querySelectorAll('canvas').length") == 0
    assert fresh.script("return cards[0].films[2].element.querySelectorAll('.strip .perturbed').length") == 2
    scores = fresh.script("return cards[0].body.children[2].querySelector('.scores').textContent")
    assert scores == "OS original0.75FS frozen0.25RS reversed0.50CS true class0.13"


def test_scores_are_bars_of_their_length(fresh):
    shares = fresh.script(
        "return [...document.querySelectorAll('.scores')[0].querySelectorAll('.bar')].map("
        "(bar) => bar.getBoundingClientRect().width / "
        "(bar.parentElement.clientWidth - 2 * parseFloat(getComputedStyle(bar.parentElement).paddingLeft)))"
    )
    np.testing.assert_allclose(shares, [0.75, 0.25, 0.5, 0.125], atol=0.02)


def test_pointing_at_a_frame_shows_it_and_leaving_goes_on(browser, page):
    browser.emulate(prefers_reduced_motion="no-preference", prefers_color_scheme="light")
    open_clips(browser, page)
    move_mouse(browser, ".timeline", 5.5 / LENGTH)
    browser.until("cards[0].held")
    browser.script("return new Promise((done) => setTimeout(done, 500))")
    assert browser.script("return cards[0].films.map((film) => film.slider.value)") == ["6", "6"]
    assert browser.script("return cards[0].films[0].now.innerText") == "frame 6 of 8 · kept · mask 0.00"
    move_mouse(browser, ".timeline", 2.5 / LENGTH)
    assert browser.script("return cards[0].films[0].now.innerText") == "frame 3 of 8 · perturbed · mask 1.00"
    assert browser.script("return cards[0].playing") is True
    move_mouse(browser, ".timeline", None)
    browser.until("!cards[0].held && cards[0].frame !== 2")


@pytest.mark.long
def test_a_page_of_500_clips_holds_few_at_a_time(browser, many):
    size = many.stat().st_size
    assert size < 2_000_000, size
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    open_clips(browser, many.as_uri())
    assert browser.script("return cards.length") == 500
    browser.script("main.lastElementChild.scrollIntoView(); cards[499].element.scrollIntoView()")
    browser.until("cards[499].wanted && cards[499].films.every((film) => film.reel)")
    browser.until("cards.filter((card) => card.wanted).length < 30")
    assert browser.script("return cards[0].wanted || cards[0].films.length > 0") is False
    choose(browser, sort="mask_length", of="difference")
    # Number modulo 9 less number modulo 7: the largest is 8 - 0, the first of them 35.
    assert ids(browser)[0] == "validation-000035"
    assert browser.errors() == []


def test_printed_are_the_clips_chosen_up_to_a_number(browser, many):
    browser.open(many.as_uri())
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        browser.script("dispatchEvent(new Event('beforeprint'))")
        printed = "return cards.filter((card) => getComputedStyle(card.element).display !== 'none').length"
        assert browser.script(printed) == 24
        said = browser.script("return unprinted.innerText")
        assert said == "Printed: the first 24 of 500 clips. Choose fewer to print others."
        assert browser.script("return getComputedStyle(form).display") == "none"
        browser.script("form.elements.search.value = '-00049'; filter(); dispatchEvent(new Event('beforeprint'))")
        assert browser.script(printed) == 10
        assert browser.script("return getComputedStyle(unprinted).display") == "none"
        assert browser.script("return cards[499].body.querySelectorAll('.strip').length") == 2
    finally:
        browser.devtools("Emulation.setEmulatedMedia", media="")


def test_nothing_is_wider_than_a_phone(browser, page):
    browser.devtools("Emulation.setDeviceMetricsOverride", width=380, height=800, deviceScaleFactor=1, mobile=False)
    try:
        browser.open(page)
        assert browser.script("return document.documentElement.scrollWidth") <= 380
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_tables_and_histograms_are_there(browser, page):
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
        shown = "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return b.width * b.height > 0"
        for selector in ("#table_1 table", "svg.histogram", ".findings", "noscript .card"):
            assert browser.script(shown, selector), selector
        for selector in (".tools", "[data-sort]"):
            assert not browser.script(shown, selector), selector
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
