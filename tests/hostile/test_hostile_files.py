"""Files of every kind, broken at random: each is read or refused in one line that names it, and nothing hangs.

The same with many more files: benchmarks/fuzz_files.py.
"""

import pytest
from broken_files import broken, refused_or_read
from hostile_files import KINDS, SLOW


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_read_or_refused(tmp_path, kind):
    file, read = KINDS[kind](tmp_path)
    assert refused_or_read(read, file) is None
    refused = 0
    for data in broken(file.read_bytes(), 5 if kind in SLOW else 100):
        file.write_bytes(data)
        refused += refused_or_read(read, file) is not None
    assert refused  # else they were not broken
