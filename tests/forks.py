"""A Python that has TensorFlow imported and forks for each program: starting TensorFlow costs 5 CPU seconds.

with Forks("tfvid.cli.train", "tensorflow") as forks:
    done = forks.run(PROGRAM, "--config", "config.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr

The fixture `forks` of conftest.py is one with Keras, for all tests of a session.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# It runs no operation itself: a TensorFlow that has run one has threads, which a fork does not copy.
SERVER = """
import importlib, json, os, random, sys

for module in sys.argv[1:]:
    importlib.import_module(module)
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(asked["outputs"], 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
        os.chdir(asked["cwd"])
        sys.argv = ["-c", *asked["arguments"]]
        random.seed()  # as a new process: not the numbers that the last child drew
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        exec(compile(asked["program"], "<program>", "exec"), {"__name__": "__main__"})
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# Runs the file that is the first argument, as ``python FILE`` does.
SCRIPT = """
import os, runpy, sys

del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Forks:
    """Runs programs one after another, each in a process forked from one that has imported `modules`.

    Args:
      modules: names of modules that every program finds imported.
      environment: variables of all programs; None for this process's own.
    """

    def __init__(self, *modules: str, environment: dict[str, str] | None = None):
        self._command, self._environment = [sys.executable, "-c", SERVER, *modules], environment

    def __enter__(self):
        self._server = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"
        return self

    def __exit__(self, *_):
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(timeout=60)

    def run(self, program: str, *arguments, cwd) -> subprocess.CompletedProcess:
        """Runs `program`, the text of a Python program, with these arguments; see `subprocess.run`."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = [Path(folder, name) for name in ("stdout", "stderr")]
            code = self._start(program, arguments, cwd, outputs).wait()
            return subprocess.CompletedProcess([program, *arguments], code, *(file.read_text() for file in outputs))

    def start(self, program: str, *arguments, cwd) -> "Fork":
        """Starts `program` and returns its process, whose output is dropped; `wait` for it before the next one."""
        return self._start(program, arguments, cwd, [os.devnull] * 2)

    def _start(self, program, arguments, cwd, outputs) -> "Fork":
        asked = {"program": program, "arguments": list(map(str, arguments)), "cwd": cwd, "outputs": outputs}
        print(json.dumps(asked, default=str), file=self._server.stdin, flush=True)
        return Fork(int(self._answer()), self._answer)

    def _answer(self) -> str:
        line = self._server.stdout.readline().strip()
        assert line, f"the process that forks has ended with code {self._server.wait(timeout=60)}"
        return line


class Fork:
    """A process that runs, by its number `pid`."""

    def __init__(self, pid: int, answer):
        self.pid, self._answer = pid, answer

    def is_running(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> int:
        """Ends it with SIGKILL; returns its exit code."""
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Returns its exit code, once."""
        return int(self._answer())
