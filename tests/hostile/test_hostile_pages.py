"""Pages about clips of strangers in a real Chromium: names are text, and were one ever markup, nothing would run."""

import pytest
from browser import available, started
from toy_report import report
from toy_results import make

from tfvid.core.errors import DataError
from tfvid.report.gallery import write_gallery
from tfvid.report.study_page import write_study_page
from tfvid.results.result_store import ResultStore

pytestmark = pytest.mark.skipif(not available(), reason="needs chromium and chromedriver")

EVIL = "<img src=x onerror=\"document.title='hacked'\"></script><script>document.title='hacked'</script>'\"&lt;"
NAMES = ("label_name", "predicted_name", "target_name", "perturbation")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def everywhere(value, keys=("title", "caption", "question", "answer", "unit", "weights", "csv", "id")):
    """`value` with markup for each text that people read."""
    if isinstance(value, dict):
        return {key: EVIL if key in keys else everywhere(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [EVIL if inner == "A note." else everywhere(inner) for inner in value]
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study's page of markup, about one clip whose id, model, class and file are markup too."""
    out = tmp_path_factory.mktemp("study")
    texts = dict.fromkeys(NAMES, EVIL)
    ResultStore(out).append([make(EVIL, EVIL, path=f"/videos/{EVIL}.mp4", label=0, **texts)])
    clips = {EVIL: (2, 2)}
    about = report(clips, {EVIL: (EVIL,), "other": ("other",)}, EVIL)
    about["dataset"] |= {"name": EVIL, "split": EVIL}
    write_study_page(out, everywhere(about))
    return out


def test_markup_everywhere_stays_text(browser, folder):
    browser.open((folder / "index.html").as_uri() + "#clips")
    browser.until("cards.length === 1 && document.querySelector('.model h3 b')")
    assert browser.script("return document.title") == EVIL
    assert browser.script("return [document.images.length, document.scripts.length]") == [0, 2]
    for selector in ("h1", ".groups b", ".findings h3", "figcaption h3", ".notes li", "h2", ".model h3 b"):
        text = browser.script("return document.querySelector(arguments[0]).textContent", selector)
        assert text.startswith(EVIL) or text in ("Findings",), selector
    assert browser.errors() == []


def test_markup_that_got_through_would_not_run(browser, folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    evil = f"<main {EVIL}><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"
    evil += "<iframe src='https://evil.example'></iframe><img src='https://evil.example/x.png'><form action='//x'>"
    changed = folder / "changed.html"
    changed.write_text(page.replace("<h1>", f"{evil}<h1>"), encoding="utf-8")
    browser.open(changed.as_uri())
    browser.until("cards.length === 1")  # the page's own script still does
    assert browser.script("return document.title") == EVIL
    complaints = " ".join(browser.errors())
    assert "evil.example/x.png' violates" in complaints and "inline" in complaints


def test_the_pages_scripts_cannot_read_text_as_markup(browser, folder):
    browser.open((folder / "index.html").as_uri())
    refused = "try { %s; return 'done' } catch (error) { return error.name }"
    assert browser.script(refused % "document.body.innerHTML = '<b>x</b>'") == "TypeError"
    later = "return new Promise((done) => setTimeout(() => { try { done(eval('1')) } catch (e) { done(e.name) } }))"
    assert browser.script(later) == "EvalError"  # later: what the driver itself runs is free of the policy
    browser.errors()


@pytest.mark.parametrize("file", ["/etc/passwd", "../../x.webp", "//evil.example/x.webp", "a/../../x.webp", "a\0b"])
@pytest.mark.parametrize("kind", ["reel", "webp", "sheet"])
def test_no_file_outside_the_folder_is_linked(tmp_path, file, kind):
    ResultStore(tmp_path).append([make(**{"sheet": "a.png", kind: file})])
    with pytest.raises(DataError, match="not in the run's folder"):
        write_gallery(tmp_path)


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path):
    ResultStore(tmp_path).append([make(sheet="javascript:alert(1)")])
    assert "javascript:alert" not in write_gallery(tmp_path).read_text(encoding="utf-8")
