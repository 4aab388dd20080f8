"""Broken files made from good ones, the same in every run, for the tests of all that reads files.

for data in broken(good, 100):
    file.write_bytes(data)
    refused_or_read(read, file)
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from tfvid.core.errors import TfvidError

# What parsers tend to trip over, put in anywhere.
TOKENS = (
    *(b"", b"\x00", b"\n", b"\r", b"\t", b" ", b'"', b"'", b",", b":", b"-", b"#", b"&a", b"*a", b"!!int x", b"<<"),
    *(b"\xff\xfe", b"\xc3\x28", "\u202e".encode(), "٣".encode(), "²".encode(), b"\\ud800", b"\x1b]0;title\x07"),
    *(b"0", b"-1", b"1e999", b"NaN", b"Infinity", b"1.5", b"9" * 25, b"9" * 5000, b"2001-13-45", b"0x1F", b"1:99"),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"[" * 3000,
        b"{" * 3000,
        b'{"a":' * 2000,
        b"../" * 6 + b"etc/passwd",
        b"/etc/passwd",
    ),
    *(
        b"<script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b"%00",
        b"${HOME}",
        b"__import__('os')",
        b"A" * 3000,
    ),
)
SECONDS = 10  # of the processor that reading one broken file may take; they are small


def broken(good: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yields `count` copies of `good`, each with one to four things wrong with it."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _break(data, chance)
        yield bytes(data)


def _break(data: bytearray, chance: random.Random):
    start = chance.randrange(len(data) + 1)
    stop = min(len(data), start + chance.choice((1, 2, 8, 64)))
    how = chance.randrange(6)
    if how == 0:
        del data[start:]
    elif how == 1:
        del data[start:stop]
    elif how == 2:
        data[start:start] = data[start:stop] * chance.choice((1, 3))
    elif how == 3 and start < len(data):
        data[start] ^= 1 << chance.randrange(8)
    elif how == 4:
        data[start:stop] = chance.choice(TOKENS)
    else:
        data[start:start] = chance.choice(TOKENS)


def refused_or_read(read, file: Path) -> str | None:
    """Asserts that `read` takes the file or refuses it in one line that names it; returns that line."""
    start = time.process_time()
    try:
        read()
        said = None
    except TfvidError as error:
        said = str(error)
        assert file.name in said, said
        assert said.isprintable(), said  # one line, nothing that a terminal would obey
        assert len(said) <= 3000, said
    assert time.process_time() - start < SECONDS
    return said
