"""A real, headless Chromium for the page's tests, driven over chromedriver's HTTP protocol (W3C WebDriver).

The few calls the tests need, without a client library to install.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,1000",
]
KEYS = {
    **{"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"},
    **{"page_up": "\ue00e", "page_down": "\ue00f", "tab": "\ue004", "enter": "\ue007", "space": " "},
}


class Browser:
    """One page at a time. `script` runs JavaScript as a function body; promises are waited for."""

    def __init__(self, port: int, folder):
        self.base = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": shutil.which("chromium") or shutil.which("google-chrome"),
            "args": [*FLAGS, f"--user-data-dir={folder}"],
        }
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        answer = self._call("", {"capabilities": wanted})
        self.base += f"/{answer['sessionId']}"

    def _call(self, path: str, body=None, method="POST"):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].splitlines()[0]) from error

    def open(self, url: str):
        self._call("/url", {"url": url})

    def enter(self, frame: str):
        """Goes into the frame that the CSS selector names; `open` leaves it."""
        self._call("/frame", {"id": self.script("return document.querySelector(arguments[0])", frame)})

    def script(self, body: str, *arguments):
        return self._call("/execute/sync", {"script": body, "args": list(arguments)})

    def until(self, condition: str, seconds: float = 20):
        """Waits until the JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.script(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def click(self, selector: str):
        """Clicks the middle of an element as a mouse does."""
        element = self.script("return document.querySelector(arguments[0])", selector)
        self._call(f"/element/{next(iter(element.values()))}/click")

    def choose_file(self, selector: str, file):
        """Chooses a file of the disk in an ``<input type=file>``."""
        element = self.script("return document.querySelector(arguments[0])", selector)
        self._call(f"/element/{next(iter(element.values()))}/value", {"text": str(file)})

    def press(self, *keys: str):
        """Types keys into whatever has the focus."""
        for key in keys:
            value = KEYS.get(key, key)
            steps = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
            self._call("/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def emulate(self, **features: str):
        """Sets media features, e.g. ``prefers_color_scheme="dark"``."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=wanted)

    def devtools(self, command: str, **parameters):
        return self._call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def errors(self) -> list[str]:
        """What the page's console complained of since the last call."""
        return [e["message"] for e in self._call("/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        """PNG of the window."""
        return base64.b64decode(self._call("/screenshot", method="GET"))

    def quit(self):
        self._call("", method="DELETE")


def available() -> bool:
    return bool(shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")))


@contextmanager
def started(folder):
    """A `Browser` with its profile in `folder`, closed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        browser = Browser(port, folder)
        try:
            yield browser
        finally:
            browser.quit()
    finally:
        driver.terminate()
        driver.wait(10)
