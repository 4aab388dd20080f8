"""TensorBoard's tab in a real Chromium: what it shows, plays and steps through, and that it draws what Python draws."""

import base64
import csv
import io
import sys

import board
import browser as chromium
import cv2
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from tensorboard_picture import take_picture

from tfvid.explain.cam.features import resized
from tfvid.perturb.temporal import freeze
from tfvid.report.overlay import overlay
from tfvid.tensorboard import metadata, summary

pytestmark = pytest.mark.skipif(not chromium.available(), reason="needs chromium and chromedriver")

EVIL = "<img src=x onerror=\"parent.document.title='hacked'\">'\"&lt;"
LENGTH, SIZE = 8, (24, 32)
STEPS = (0, 10, 20, 30)
OTHER_STEPS = (0, 19, 30)  # of run b

FRAME = "iframe[src*=tfvid]"
READY = "document.querySelector('main[aria-busy=false] .panel')"


def make_clips() -> np.ndarray:
    """Two clips in which a bright spot crosses a coloured ground: smooth, so that JPEG keeps them."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / SIZE[1]
    spots = [np.exp(-((x - t / LENGTH) ** 2 + (y - 0.4) ** 2) * 20) for t in range(LENGTH)]
    clip = np.stack([np.stack([spot, x * 0.8, y], axis=-1) for spot in spots])
    return np.stack([clip, clip[::-1]]).astype(np.float32)


def mask_at(step: int) -> np.ndarray:
    """Soft masks `(2, T)` that move to the right as training goes on."""
    mask = np.exp(-((np.arange(LENGTH) - 2 - step / 10) ** 2) / 3)
    return np.stack([mask, mask]).astype(np.float32)


MAPS = np.random.default_rng(0).random((2, 4, 3, 5)).astype(np.float32) * 7  # (B, T', h, w)


def write_logs(folder):
    """Runs a and b: a mask at several steps; in a also a signed map, markup everywhere, and a clip that is broken."""
    clips = make_clips()
    for run, steps in (("run a", STEPS), ("run b", OTHER_STEPS)):
        with tf.summary.create_file_writer(str(folder / run)).as_default():
            for step in steps:
                mask, shown = mask_at(step), clips
                if run == "run b":  # half as many frames
                    mask, shown = mask[:, ::2], clips[:, ::2]
                summary.explanation(
                    "freeze",
                    shown,
                    step,
                    MAPS,
                    mask,
                    {"OS": [0.9, 0.8], "FS": [0.9 - step / 50] * 2, "RS": [0.5, 0.4], "CS": [np.nan] * 2},
                    {"target": ["left", "right"], "predicted": ["left", "left"], "true": ["left", "right"]},
                    events=[[2, 4], [-1, -1]],
                    plain=False,
                )
    with tf.summary.create_file_writer(str(folder / "run a")).as_default():
        blurred = np.full_like(clips, 0.5)
        summary.explanation(
            "signed", clips, 0, MAPS - 3, mask_at(0), perturbation="blur", perturbed=blurred, plain=False
        )
        texts = {role: [EVIL, EVIL] for role in ("target", "predicted", "true")}
        summary.explanation(
            "markup",
            clips,
            0,
            None,
            mask_at(0),
            {EVIL: [0.5, 0.5]},
            texts,
            EVIL,
            ids=["0", EVIL],
            method=EVIL,
            plain=False,
        )
        clip = metadata.Clip("wrong", "0")
        tf.summary.write(clip.tag, tf.constant(["{}"]), step=0, metadata=metadata.create(clip))


NAMES = {"freeze", "signed", "markup", "wrong"}  # of run a


def logged(tensorboard) -> dict[str, set[str]]:
    """The names of each run that TensorBoard has read so far."""
    return {run: set(names) for run, names in tensorboard.json("tags").items()}


class Page:
    """The page in the tab; what a test asks it often."""

    def __init__(self, browser, url: str):
        self.browser, self.url = browser, url

    def open(self, motion="reduce", colours="light"):
        """Opens TensorBoard with the tab on show."""
        self.browser.emulate(prefers_reduced_motion=motion, prefers_color_scheme=colours)
        self.browser.open("about:blank")  # or the address would differ in its hash only, and nothing be loaded
        self.browser.open(f"{self.url}#tfvid")
        self.enter()

    def enter(self):
        self.browser.until(f"document.querySelector('{FRAME}')")
        self.browser.enter(FRAME)
        self.browser.until("document.querySelector('.page')")

    def open_alone(self):
        """Opens what TensorBoard puts into the tab, under the same address and policy, but faster."""
        self.browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
        self.browser.open(f"{self.url}data/plugin_entry.html?name=tfvid")
        self.settle()

    def set(self, name: str, value):
        """Lets a control have a value as a user's hand does."""
        self.browser.script(
            "const input = document.querySelector(`[name=${arguments[0]}]`); input.value = arguments[1];"
            "for (const type of ['input', 'change']) input.dispatchEvent(new Event(type))",
            name,
            str(value),
        )
        self.settle()

    def choose(self, **values):
        for name, value in values.items():
            self.set(name, value)

    def settle(self):
        self.browser.until(READY)

    def pixels(self, film: str, panel: int = 0) -> np.ndarray:
        """uint8 `(H, W, 3)`, what a film's canvas holds."""
        url = self.browser.script(
            "return document.querySelectorAll('.panel')[arguments[1]].querySelector(arguments[0]).toDataURL()",
            f"canvas.{film}",
            panel,
        )
        data = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def film(self, film: str) -> np.ndarray:
        """uint8 `(T, H, W, 3)`, its frames one after the other."""
        frames = []
        for frame in range(LENGTH):
            self.set("frame", frame + 1)
            frames.append(self.pixels(film))
        return np.stack(frames)

    def text(self, selector: str) -> str:
        return self.browser.script("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector: str) -> list[str]:
        return self.browser.script(
            "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)", selector
        )

    @property
    def frame(self) -> int:
        return int(self.browser.script("return document.querySelector('[name=frame]').value"))

    @property
    def cells(self) -> list[int]:
        """The current cell of each panel's timeline."""
        return self.browser.script(
            "return [...document.querySelectorAll('.cells')].map("
            "(cells) => [...cells.children].findIndex((cell) => cell.matches('.current')))"
        )

    @property
    def values(self) -> list[float]:
        """The mask as written under its strip."""
        return [float(value) for value in self.texts(".panel:first-child .values span")]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A browser and a TensorBoard that was opened on an empty folder; its page, and what it said at first."""
    logs, program = tmp_path_factory.mktemp("logs"), (sys.executable, "-c", board.ALONE)
    with (
        chromium.started(tmp_path_factory.mktemp("profile")) as browser,
        board.started(logs, program=program) as tensorboard,
    ):
        page = Page(browser, tensorboard.url)
        page.open()
        browser.until("document.querySelector('.empty:not([hidden])')")
        said = page.text(".empty")
        write_logs(logs)
        tensorboard.until(lambda: logged(tensorboard) == {"run a": NAMES, "run b": {"freeze"}})
        browser.click(".empty button")
        page.settle()
        yield page, said


@pytest.fixture
def page(session):
    """The page just opened at the first clip of run a, standing still; nothing may be amiss in the console after."""
    page = session[0]
    page.browser.script("sessionStorage.clear()")
    page.open_alone()
    assert page.browser.script("return document.querySelector('[name=name]').value") == "freeze"
    yield page
    assert [error for error in page.browser.errors() if "favicon" not in error] == []  # TensorBoard's page has one


@pytest.fixture
def tab(page):
    """The same page in TensorBoard's tab."""
    page.open()
    page.settle()
    return page


def test_empty_folder_says_how_to_fill_it_and_new_data_are_found(session):
    _, said = session
    assert "No explanations in this log directory yet" in said
    assert "tfvid.summary.explanation(" in said


def test_tab_opens_by_a_click_and_is_named(page):
    page.browser.open("about:blank")
    page.browser.open(page.url)
    tab = "[...document.querySelectorAll('.plugin-name, mat-tab-header [role=tab]')]"
    page.browser.until(f"{tab}.some((tab) => tab.textContent.trim() === 'Video explanations')")
    page.browser.script(f"{tab}.find((tab) => tab.textContent.trim() === 'Video explanations').click()")
    page.enter()
    page.settle()
    assert page.texts(".panel h2") == ["run a"]
    assert page.pixels("clip").shape == (*SIZE, 3)


def test_plays_and_pauses(session):
    page = session[0]
    page.open(motion="no-preference")
    page.browser.until("document.querySelector('.play')?.textContent === 'Pause'")
    page.browser.until("document.querySelector('[name=frame]').value > 2")
    page.browser.click(".play")
    assert page.text(".play") == "Play"
    still = page.frame
    page.browser.script("return new Promise((done) => setTimeout(done, 500))")
    assert page.frame == still


def test_stands_still_where_reduced_motion_is_asked_for(page):
    page.browser.script("return new Promise((done) => setTimeout(done, 500))")
    assert page.frame == 1 and page.text(".play") == "Play"


def test_keys_move_frames_and_steps(tab):
    tab.browser.click(".panel h2")
    before = tab.pixels("clip")
    tab.browser.press("right", "right", "left")
    assert tab.frame == 2 and tab.cells == [1]
    assert np.abs(tab.pixels("clip").astype(int) - before).max() > 20
    tab.browser.press("left", "left")
    assert tab.frame == LENGTH
    step = "document.querySelector('[name=step]').getAttribute('aria-valuetext')"
    for key, expected in (("down", "step 20, 3 of 4"), ("page_down", "step 10, 2 of 4"), ("up", "step 20, 3 of 4")):
        tab.browser.press(key)
        tab.browser.until(f"{step} === '{expected}'")
    tab.browser.press("page_up")
    tab.browser.press("page_up")  # there is none beyond the last
    tab.browser.until(f"{step} === 'step 30, 4 of 4'")
    tab.browser.press("space")
    tab.browser.until("document.querySelector('.play').textContent === 'Pause'")
    tab.browser.press("space")
    assert tab.text(".play") == "Play"


def test_controls_keep_their_own_keys(page):
    """Space on a button presses it once; arrows on the opacity slider move that."""
    page.browser.script("document.querySelector('[name=opacity]').focus()")
    page.browser.press("left")
    assert page.browser.script("return document.querySelector('[name=opacity]').value") == "0.7"
    assert page.frame == 1
    page.browser.script("document.querySelector('.play').focus()")
    page.browser.press("space")
    assert page.text(".play") == "Pause"


def test_step_slider_shows_how_mask_and_scores_changed(page):
    for index, step in reversed(list(enumerate(STEPS))):
        page.set("step", index)
        page.browser.until(f"document.querySelector('.fact').textContent === 'step {step}'")
        np.testing.assert_allclose(page.values, mask_at(step)[0], atol=0.006)
        assert page.texts(".scores dd") == ["0.900", f"{0.9 - step / 50:.3f}", "0.500", "–"]
        assert page.text("[aria-current] .step") == str(step)
    assert page.texts(".scores dt") == ["OS original", "FS freeze", "RS reverse", "CS true class"]
    assert "Freeze score" in page.browser.script("return document.querySelectorAll('.scores abbr')[1].title")


def test_mask_over_training_fills_in_by_itself_and_leads_to_its_steps(page):
    page.browser.until(f"document.querySelectorAll('.strip i').length === {LENGTH * len(STEPS)}")
    assert page.texts(".rows .step") == ["30", "20", "10", "0"]
    assert page.texts(".rows .numbers span:nth-child(2)") == ["0.30", "0.50", "0.70", "0.90"]
    page.browser.click(".rows .lane:last-child")
    page.browser.until("document.querySelector('.fact').textContent === 'step 0'")


def test_timeline_is_read_without_colour_and_leads_to_its_frames(page):
    page.set("step", 0)
    page.browser.until("document.querySelector('.fact').textContent === 'step 0'")
    page.browser.click(".cell:nth-child(3)")
    assert page.frame == 3
    assert page.text(".value") == "1.00 perturbed"
    assert "mask 1.00 perturbed" in page.browser.script("return document.querySelector('[name=frame]').ariaValueText")
    assert page.browser.script("return document.querySelector('.cell:nth-child(3)').title").endswith(
        "mask 1.00 perturbed"
    )
    assert "perturbed: 2, 3, 4" in page.browser.script("return document.querySelector('.cells').ariaLabel")
    left, width = page.browser.script(
        "const { left, width } = document.querySelector('.event').style; return [left, width]"
    )
    assert (left, width) == ("25%", "25%")  # [2, 4) of 8
    page.set("clip", "1")
    assert page.browser.script("return document.querySelector('.event').hidden")


def test_frozen_film_is_tfvids_freeze_of_the_clip_on_the_page(page):
    """What the browser decodes is the clip that was logged; what it mixes is what tfvid mixes."""
    clip, frozen = page.film("clip"), page.film("perturbed")
    assert np.abs(clip / 255 - make_clips()[0]).mean() < 0.02  # JPEG
    expected = freeze(clip[np.newaxis], mask_at(STEPS[-1])[:1])[0].numpy()
    assert np.abs(frozen - expected).max() <= 2
    assert np.abs(frozen - clip.astype(int)).max() > 50
    assert page.texts("figcaption > span:first-child") == ["clip", "overlay", "frozen"]


@pytest.mark.parametrize(("colormap", "opacity"), [("inferno", 0.75), ("viridis", 1.0), ("turbo", 0.5), ("jet", 0.3)])
def test_overlay_is_that_of_the_report(page, colormap, opacity):
    page.choose(colormap=colormap, opacity=opacity)
    maps = resized(MAPS[:1] / MAPS[0].max(), (LENGTH, *SIZE))[0].numpy()
    expected = overlay(page.film("clip"), maps, colormap=colormap, opacity=opacity)
    difference = np.abs(page.film("overlay").astype(int) - expected)
    assert difference.max() <= 8 and difference.mean() < 1  # the map is stored in 255 levels


def test_signed_map_is_blue_below_zero_and_red_above(page):
    page.choose(name="signed", opacity=1)
    maps = resized(MAPS[:1] - 3, (LENGTH, *SIZE))[0, 0].numpy()
    shown = page.pixels("overlay").astype(int)
    redness = shown[..., 0] - shown[..., 2]
    assert redness[maps > 2].min() > 20 and redness[maps < -2].max() < -20
    assert np.abs(redness[np.abs(maps) < 0.05]).max() < 20
    assert np.abs(page.pixels("perturbed").astype(int) - 128).max() <= 2  # the frames that were given
    assert page.texts("figcaption > span:first-child")[2] == "blurred"


def test_colour_maps_are_those_of_opencv_and_matplotlib(page):
    tables = page.browser.script(
        "return import('./colormaps.js').then(({ COLORMAPS, SIGNED }) => Object.fromEntries("
        "Object.entries({ ...COLORMAPS, coolwarm: SIGNED }).map(([name, { table }]) => [name, [...table]])))"
    )
    levels = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    assert set(tables) == {"inferno", "viridis", "turbo", "jet", "coolwarm"}
    coolwarm = matplotlib.colormaps["coolwarm"](np.arange(256))[:, :3] * 255
    assert np.abs(np.reshape(tables.pop("coolwarm"), (256, 3)) - coolwarm).max() <= 0.5001
    for name, table in tables.items():
        colours = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name.upper()}"))[:, 0, ::-1]
        np.testing.assert_array_equal(np.reshape(table, (256, 3)), colours)


@pytest.mark.parametrize(("steps", "length", "size"), [(3, 16, (7, 5)), (8, 8, (1, 1)), (5, 3, (20, 31))])
def test_maps_are_resized_as_grad_cam_does(page, steps, length, size):
    maps = np.random.default_rng(1).random((steps, 4, 6)).astype(np.float32)
    expected = resized(maps[np.newaxis], (length, *size))[0].numpy()
    got = page.browser.script(
        "const [maps, length, size] = arguments; return import('./maps.js').then(({ mapOf, resized }) =>"
        " Array.from({ length }, (_, t) => [...resized(maps[mapOf(t, length, maps.length)], [4, 6], size)]))",
        maps.reshape(steps, -1).tolist(),
        length,
        size,
    )
    np.testing.assert_allclose(np.reshape(got, expected.shape), expected, atol=1e-5)


def test_two_runs_in_lockstep(tab):
    """The other run shows its nearest step, and half as many frames over the same time."""
    tab.set("compare", "run b")
    assert tab.texts(".panel h2") == ["run a", "run b"]
    tab.set("step", 2)
    tab.browser.until("document.querySelectorAll('.facts')[1].textContent.startsWith('step 19')")
    assert tab.texts(".facts > :first-child") == ["step 20", "step 19"]
    for frame in range(LENGTH):
        tab.set("frame", frame + 1)
        assert tab.cells == [frame, frame // 2]
        difference = tab.pixels("clip", 1).astype(int) - tab.pixels("clip", 0)
        assert (np.abs(difference).max() < 30) == (frame % 2 == 0)
    tab.browser.click(".panel:last-child .cell:nth-child(2)")
    assert tab.cells == [2, 1]
    tab.set("compare", "")
    assert tab.texts(".panel h2") == ["run a"] and len(tab.cells) == 1


def test_choices_outlive_a_reload(tab):
    tab.choose(run="run b", clip="1", colormap="jet", opacity=0.4)
    tab.open()
    tab.settle()
    names = ("run", "name", "clip", "colormap", "opacity")
    values = [tab.browser.script("return document.querySelector(`[name=${arguments[0]}]`).value", n) for n in names]
    assert values == ["run b", "freeze", "1", "jet", "0.4"]


def test_speed_changes_how_long_a_frame_is_shown(page):
    """At four times the speed more frames pass in the same time than at a quarter; the page keeps the choice."""
    count = (
        "const [speed] = arguments; return import('./player.js').then(({ Player }) => new Promise((done) => {"
        "  let frames = 0; const player = new Player(() => { frames += 1; }); player.resize(1000);"
        "  player.speed = speed; player.play(true); setTimeout(() => { player.play(false); done(frames); }, 900); }))"
    )
    slow, fast = (page.browser.script(count, speed) for speed in (0.25, 4))
    assert slow <= 3 < fast  # playing and stopping count as changes, too
    page.set("speed", 4)
    page.open_alone()
    assert page.browser.script("return document.querySelector('[name=speed]').value") == "4"


def test_a_click_enlarges_a_film_and_another_makes_it_small(page):
    width = "return document.querySelector('canvas.clip').getBoundingClientRect().width"
    small = page.browser.script(width)
    page.browser.click("canvas.clip")
    large = page.browser.script(width)
    assert large > 1.5 * small
    assert page.browser.script("return document.querySelector('.enlarge').ariaPressed") == "true"
    page.browser.click(".enlarge")
    assert page.browser.script(width) == small


SAVED = """
const [button] = arguments;
return new Promise((done) => {
  const made = URL.createObjectURL, click = HTMLAnchorElement.prototype.click;
  let blob;
  URL.createObjectURL = (given) => { blob = given; return made.call(URL, given); };
  HTMLAnchorElement.prototype.click = function () {
    const name = this.download, reader = new FileReader();
    [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [made, click];
    reader.onload = () => done([name, reader.result.split(",")[1]]);
    reader.readAsDataURL(blob);
  };
  document.querySelectorAll(".saving button")[button].click();
});
"""


def saved(page, button: int) -> tuple[str, bytes]:
    """The name and the contents of the file that a button saves."""
    name, encoded = page.browser.script(SAVED, button)
    return name, base64.b64decode(encoded)


def test_a_picture_of_the_films_is_saved(page):
    page.set("frame", 3)
    name, png = saved(page, 0)
    assert name == "run_a_freeze_0_30_frame_3.png"
    picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    height, width = SIZE
    assert picture.shape == (height, 3 * width + 2 * 4, 3)
    for place, film in enumerate(("clip", "overlay", "perturbed")):
        left = place * (width + 4)
        np.testing.assert_array_equal(picture[:, left : left + width], page.pixels(film))


def test_the_mask_and_the_scores_are_saved_as_csv(page):
    name, text = saved(page, 1)
    assert name == "run_a_freeze_0_30.csv"
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    np.testing.assert_allclose([float(row["mask"]) for row in rows], mask_at(30)[0], atol=1e-6)
    assert [int(row["frame"]) for row in rows] == list(range(1, LENGTH + 1))
    assert float(rows[0]["OS"]) == pytest.approx(0.9) and rows[0]["CS"] == ""
    page.choose(name="markup", clip=EVIL)
    _, text = saved(page, 1)
    assert next(csv.DictReader(io.StringIO(text.decode())))["clip"] == EVIL


def test_a_text_that_begins_like_a_formula_is_no_formula_in_the_csv(page):
    text = page.browser.script(
        "return import('./save.js').then(({ csvOf }) => csvOf({ run: '=1+1', name: 'a,\"b\"', clip: '@x', step: -3 },"
        " { num_frames: 1, mask: null, scores: {} }).text())"
    )
    assert text.splitlines()[1] == '\'=1+1,"a,""b""",\'@x,-3,1,'


def test_markup_is_shown_as_text(tab):
    tab.choose(name="markup", clip=EVIL)
    for selector in (".facts b", ".scores dt", ".about", "[name=clip] option:checked"):
        assert EVIL in tab.texts(selector), selector
    assert tab.texts(".facts b").count(EVIL) == 2  # the class, the method
    assert tab.browser.script("return document.querySelectorAll('img').length") == 0
    assert tab.browser.script("return parent.document.title") == "TensorBoard"


def test_a_broken_clip_is_a_line_and_the_next_one_shows_again(page):
    page.set("name", "wrong")
    said = page.text(".panel .problem")
    assert "expected a clip of version 1, got None" in said
    page.browser.errors()  # the browser itself complains of the answer 422
    page.set("name", "freeze")
    assert page.pixels("clip").any()
    assert page.browser.script("return document.querySelector('.panel .problem').hidden")


def test_dark_when_tensorboard_is(tab):
    background = "return getComputedStyle(document.body).backgroundColor"
    light = tab.browser.script(background)
    tab.open(colours="dark")
    tab.settle()
    dark = tab.browser.script(background)
    brightness = [sum(map(int, colour[4:-1].split(","))) for colour in (light, dark)]
    assert brightness[0] > 600 and brightness[1] < 100
    tab.browser.script("parent.document.body.classList.remove('dark-mode')")  # TensorBoard's own switch
    tab.browser.until("document.documentElement.dataset.theme === 'light'")


def test_every_control_has_a_name(page):
    page.set("compare", "run b")
    nameless = (
        "return [...document.querySelectorAll('input, select, button')].filter("
        "(control) => !(control.labels?.length || control.textContent.trim())).length"
    )
    assert page.browser.script(nameless) == 0


def test_on_a_phone_the_clip_is_in_the_first_screen(page):
    page.browser.devtools(
        "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False
    )
    try:
        page.browser.until("innerWidth <= 390 && document.querySelector('canvas').getBoundingClientRect().width < 190")
        bottom = "return document.querySelector('canvas.clip').getBoundingClientRect().bottom"
        assert page.browser.script(bottom) < 844
        top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
        first, second = (page.browser.script(top, film) for film in ("canvas.clip", "canvas.overlay"))
        assert first == second  # two films side by side
        sides = "const root = document.documentElement; return root.scrollWidth <= root.clientWidth"
        assert page.browser.script(sides)
    finally:
        page.browser.devtools("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [600, 1600])
def test_nothing_sticks_out(page, width):
    page.browser.devtools(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    try:
        page.set("compare", "run b")
        page.browser.until(f"innerWidth <= {width} && innerWidth > {width - 20}")
        sides = "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
        scrolled, visible = page.browser.script(sides)
        assert scrolled <= visible
        shown = page.browser.script("return document.querySelector('canvas').getBoundingClientRect().width")
        assert shown >= 180 and shown % SIZE[1] == 0  # whole times larger
    finally:
        page.browser.devtools("Emulation.clearDeviceMetricsOverride")


def test_the_picture_shows_both_runs(page):
    """As `tensorboard_picture.py` takes the README's: under the controls two panels, each with a film in it."""
    picture = take_picture(page.browser, page.url, run="run a", compare="run b", step=1)
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (900, 1400, 3)
    assert page.texts(".panel h2") == ["run a", "run b"]
    corners = page.browser.script(
        "const outer = window.frameElement.getBoundingClientRect();"
        "return [...document.querySelectorAll('canvas.clip')].map((canvas) => {"
        "  const box = canvas.getBoundingClientRect();"
        "  return [outer.y + box.y, outer.y + box.bottom, outer.x + box.x, outer.x + box.right].map(Math.round); })"
    )
    assert len(corners) == 2
    for top, bottom, left, right in corners:
        film = image[top:bottom, left:right]
        assert film.shape[0] > 100 and film.std(axis=(0, 1)).min() > 10  # there is a picture in it
    page.browser.devtools("Emulation.clearDeviceMetricsOverride")
    page.open_alone()


def test_the_page_takes_no_text_for_markup_or_code(page):
    refused = "try { %s; return 'done' } catch (error) { return error.name }"
    assert page.browser.script(refused % "document.body.innerHTML = '<b>x</b>'") == "TypeError"
    later = "return new Promise((done) => setTimeout(() => { try { done(eval('1')) } catch (e) { done(e.name) } }))"
    assert page.browser.script(later) == "EvalError"  # later: what the driver itself runs is free of the policy
    assert page.browser.script("return fetch('https://evil.example').catch((error) => error.name)") == "TypeError"
    said = " ".join(page.browser.errors())
    assert "evil.example" in said and "Content Security Policy" in said
