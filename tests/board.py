"""A real TensorBoard process with the plugin in it, for the tests that ask it over HTTP or open it in a browser.

with started(logdir) as board:
    board.until(lambda: "train" in board.json("tags"))
    status, headers, body = board.get("sample", run="train", name="why", clip="0", step=0)
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# With the plugin whether or not tfvid is installed as a package: installed, TensorBoard finds it by its entry point.
PROGRAM = """
import sys
from tensorboard import default, program
from tfvid.tensorboard.plugin import VideoExplanations
plugins = default.get_plugins()
if VideoExplanations not in plugins:
    plugins.append(VideoExplanations)
board = program.TensorBoard(plugins=plugins)
board.configure(sys.argv)
sys.exit(board.main())
"""
# TensorBoard starts in a third of the CPU time where it finds no TensorFlow.
ALONE = "import sys\nsys.modules['tensorflow'] = None\n" + PROGRAM


class Board:
    """A TensorBoard that answers at `url` (``http://127.0.0.1:<port>/``)."""

    def __init__(self, url: str):
        self.url = url

    def get(self, route: str, method: str = "GET", **parameters):
        """Asks one of the plugin's routes; returns status, headers and the body's bytes."""
        return self.fetch(f"data/plugin/tfvid/{route}", method, **parameters)

    def fetch(self, path: str, method: str = "GET", **parameters):
        """Asks any path of TensorBoard, like `get`."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        request = urllib.request.Request(self.url + path + query, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def json(self, route: str, **parameters):
        """The answer of one of the plugin's JSON routes; None where it refused."""
        status, _, body = self.get(route, **parameters)
        return json.loads(body) if status == 200 else None

    def until(self, condition, seconds: float = 60):
        """Waits until `condition()` is true: TensorBoard answers before it has read the logs."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "TensorBoard never came to have the data"
            time.sleep(0.1)


@contextmanager
def started(logdir, *, load_fast: bool = False, samples: int | None = None, program=(sys.executable, "-c", PROGRAM)):
    """A `Board` on `logdir`, ended at the end.

    Args:
      logdir: folder of the logs.
      load_fast: reads them with the data server, a program of its own, instead of TensorBoard's Python.
      samples: steps kept of a clip (``--samples_per_plugin``); None for TensorBoard's default, 10.
      program: the command that starts it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*program, f"--logdir={logdir}", f"--port={port}", "--host=127.0.0.1", "--reload_interval=1"]
    command.append(f"--load_fast={str(load_fast).lower()}")
    if samples is not None:
        command.append(f"--samples_per_plugin=tfvid={samples}")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    board = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        end = time.monotonic() + 120
        while not _answers(url):
            assert board.poll() is None, f"TensorBoard ended: {board.stdout.read()}"
            assert time.monotonic() < end, "TensorBoard never answered"
            time.sleep(0.1)
        yield Board(url)
    finally:
        board.terminate()
        board.communicate(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
