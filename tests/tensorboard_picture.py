"""Takes the picture of TensorBoard's tab that the README shows: what `make demo` logged, in a real Chromium.

.venv/bin/python tests/tensorboard_picture.py runs/demo/runs docs/images/tensorboard.png
"""

import argparse
import tempfile
from pathlib import Path

import board
import browser as chromium

SIZE = (1400, 900)


def take_picture(browser, url: str, **choices) -> bytes:
    """PNG of the tab, each of the page's selects and sliders set to the value given by its name.

    Args:
      browser: a `browser.Browser`.
      url: TensorBoard's.
      choices: e.g. ``run="a", other="b", frame=9``, in the order in which they are made.
    """
    width, height = SIZE
    browser.devtools(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )
    browser.emulate(prefers_reduced_motion="reduce", prefers_color_scheme="light")
    browser.open("about:blank")
    browser.open(f"{url}#tfvid")
    frame = "iframe[src*=tfvid]"
    browser.until(f"document.querySelector('{frame}')")
    browser.enter(frame)
    ready = "document.querySelector('main[aria-busy=false] .panel')"
    browser.until(ready)
    for name, value in choices.items():
        browser.script(
            "const input = document.querySelector(`[name=${arguments[0]}]`); input.value = arguments[1];"
            "for (const type of ['input', 'change']) input.dispatchEvent(new Event(type))",
            name,
            str(value),
        )
        browser.until(ready)
    browser.until("[...document.querySelectorAll('.history:not([hidden]) .strip')].every((row) => row.children.length)")
    return browser.screenshot()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("choices", nargs="*", help="name=value of the page's controls")
    arguments = parser.parse_args()
    choices = dict(choice.split("=", 1) for choice in arguments.choices)
    with (
        tempfile.TemporaryDirectory() as profile,
        chromium.started(profile) as browser,
        board.started(arguments.logs, samples=0) as tensorboard,
    ):
        tensorboard.until(lambda: tensorboard.json("tags"))
        arguments.out.write_bytes(take_picture(browser, tensorboard.url, **choices))
