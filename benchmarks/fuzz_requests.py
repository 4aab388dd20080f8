"""Malformed requests to the TensorBoard plugin: every one is answered, none with a 5xx or a traceback.

    python benchmarks/fuzz_requests.py                     # 10,000 requests and 500 broken logs, a minute

Requests are put together at random from what is there and from what is not: routes, methods, parameters (missing,
twice, of other kinds, thousands of characters long), query strings that are no query, headers. Then logs are broken
in the bytes of their events, checksums put right again so that TensorBoard reads them, and all that it lists is asked
for. TensorBoard's whole application runs in this process: an exception that it would answer with 500 ends the run.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from board_in_process import served  # noqa: E402
from broken_files import TOKENS, broken  # noqa: E402

from tfvid.core.errors import command  # noqa: E402
from tfvid.tensorboard import summary  # noqa: E402

BASE = "/data/plugin/tfvid"
MARKUP = "<img src=x onerror=alert(1)>"
SECONDS = 10  # that one answer may take

ROUTES = (
    *("/tags", "/steps", "/sample", "/index.js", "/page.css"),
    *("", "/", "/nothing", "/sample/0", "//sample", "/sample/../tags", "/%2e%2e/plugin.py", "/..%2fplugin.py", "/\x00"),
    *("/../../../../etc/passwd", "/static/index.js", "/plugin.py", "/tags\r\nX: y", "/" + "a" * 5000),
)
METHODS = ("GET",) * 40 + ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONSENSE")
GOOD = {
    "run": ("train", "markup", "numbers", "."),
    "name": ("mask", MARKUP, "loss"),
    "clip": ("0", "clip 9", MARKUP, "loss"),
    "step": ("0", "5", "-1", "1e3", "99999999999999999999", "0x5", "٥", "5 ", "+5"),
}
BAD = (
    *(token.decode("utf-8", "replace") for token in TOKENS),
    *(
        "train\x00",
        "*",
        "%",
        "%2",
        "%zz",
        "../train",
        "train/../train",
        "a" * 20_000,
        "\U0001f600",
        "'; DROP TABLE runs",
    ),
)
HEADERS = (
    *({}, {}, {}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "gzip;q=0, *"}, {"Range": "bytes=0-"}),
    *(
        {"If-None-Match": "*"},
        {"Content-Length": "5"},
        {"Content-Type": "multipart/form-data"},
        {"Host": "evil.example"},
    ),
    *({"X-HTTP-Method-Override": "DELETE"}, {"Cookie": "a" * 5000}, {"Origin": "http://evil.example"}),
)


def write_logs(folder: Path):
    """A run of two clips, one with markup for names, and one of plain numbers, which are not the plugin's to serve."""
    clips = np.random.default_rng(0).random((2, 3, 8, 8, 3), np.float32)
    for run, name, ids in (("train", "mask", ["0", "clip 9"]), ("markup", MARKUP, [MARKUP, "0"])):
        with tf.summary.create_file_writer(str(folder / run)).as_default():
            for step in (0, 5):
                mask = np.full((2, 3), 0.7, np.float32)
                maps = np.ones((2, 2, 3, 4), np.float32)
                summary.explanation(name, clips, step, maps, mask, ids=ids, method=name, plain=False)
    with tf.summary.create_file_writer(str(folder / "numbers")).as_default():
        tf.summary.scalar("loss", 0.125, 0)


def ask(client, chance: random.Random):
    """One request put together at random, its answer checked; returns the status."""
    route = chance.choice(ROUTES[:3]) if chance.random() < 0.8 else chance.choice(ROUTES)
    parameters = []
    for name, good in GOOD.items():
        for _ in range(chance.choice((0, 1, 1, 1, 1, 1, 1, 2))):
            parameters.append((name, chance.choice(good if chance.random() < 0.75 else BAD)))
    if chance.random() < 0.1:
        parameters.append((chance.choice(BAD), chance.choice(BAD)))
    chance.shuffle(parameters)
    query = urlencode(parameters, errors="replace")
    if chance.random() < 0.1:
        query = next(iter(broken(query.encode(), 1, chance.randrange(2**32)))).decode("latin-1")
    start = time.monotonic()
    answer = client.open(
        quote(BASE + route, safe="/%"),
        method=chance.choice(METHODS),
        query_string=query,
        headers=chance.choice(HEADERS),
        data=chance.choice((None, None, None, b"\xff" * 50)),
    )
    seconds = time.monotonic() - start
    assert seconds < SECONDS, (route, parameters, seconds)
    check(answer, ours=answer.request.path.removeprefix(BASE) in ROUTES[:5])
    return answer.status_code


def check(answer, ours: bool = True):
    """Asserts what holds of every answer: no failure, nothing of the program's inside, and the guards of ours."""
    body = answer.get_data()
    assert answer.status_code < 500, (answer.request, body[:500])
    if answer.mimetype not in ("text/javascript", "text/css"):  # the page's own files name Python's in comments
        assert b"Traceback" not in body and b'.py"' not in body, (answer.request, body[:500])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype != "text/html"
    if ours:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'"), answer.request
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    if answer.status_code != 200 and ours:
        assert answer.mimetype == "text/plain" and len(body) < 20_000, (answer.request, body[:500])


def ask_for_all(client) -> int:
    """Asks for everything that the plugin lists; returns how many answers that were."""
    tags = client.get(f"{BASE}/tags")
    check(tags)
    answers = 1
    for run, names in tags.get_json().items():
        for name, about in names.items():
            for clip in about["clips"]:
                which = {"run": run, "name": name, "clip": clip}
                steps = client.get(f"{BASE}/steps", query_string=which)
                check(steps)
                answers += 1
                for step in steps.get_json() if steps.status_code == 200 else ():
                    check(client.get(f"{BASE}/sample", query_string=which | {"step": step["step"]}))
                    answers += 1
    return answers


def broken_logs(folder: Path, count: int, seed: int = 0):
    """Yields `count` folders with one event of the run "train" broken, and its checksum put right."""
    [file] = (folder / "train").glob("events.*")
    events = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
    chance = random.Random(seed)
    for _ in range(count):
        with tempfile.TemporaryDirectory() as place:
            chosen = chance.randrange(1, len(events))  # the first says what version of the format it is
            [data] = broken(events[chosen], 1, chance.randrange(2**32))
            with tf.io.TFRecordWriter(f"{place}/{file.name}") as writer:
                for index, event in enumerate(events):
                    writer.write(data if index == chosen else event)
            yield place


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--logs", type=int, default=500, help="broken logs (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    from machine import describe_machine

    print(describe_machine(), "\n")
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # a line for each route that is not there
    with tempfile.TemporaryDirectory() as folder:
        write_logs(Path(folder))
        client, chance = served(folder), random.Random(args.seed)
        start = time.monotonic()
        codes = Counter(ask(client, chance) for _ in range(args.requests))
        said = ", ".join(f"{count} x {code}" for code, count in sorted(codes.items()))
        print(f"{args.requests} requests in {time.monotonic() - start:.0f} s: {said}")
        start = time.monotonic()
        answers = [ask_for_all(served(place)) for place in broken_logs(Path(folder), args.logs, args.seed)]
        print(f"{args.logs} broken logs, {sum(answers)} answers in {time.monotonic() - start:.0f} s: none a failure")


if __name__ == "__main__":
    command(main)
