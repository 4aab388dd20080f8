"""Parquet files by strangers: other columns, no values, bytes that are none: one line each time."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from broken_files import refused_or_read
from toy_results import make

from tfvid.core.errors import DataError
from tfvid.results.result_store import DEFAULTS, SCHEMA, ResultStore, read_results, to_table


@pytest.fixture
def file(tmp_path):
    return tmp_path / "results.parquet"


def write(file, table: pa.Table):
    pq.write_table(table.replace_schema_metadata(SCHEMA.metadata), file)


def replaced(name: str, values, kind) -> pa.Table:
    table = to_table([make("a"), make("b")])
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))


def test_every_column_must_be_there(file):
    for name in set(SCHEMA.names) - set(DEFAULTS):
        write(file, to_table([make()]).drop_columns([name]))
        said = refused_or_read(lambda: read_results(file.parent), file)
        assert f"expected a column {name!r}" in said
        assert f"expected a column {name!r}" in refused_or_read(lambda: ResultStore(file.parent), file)


def test_a_column_of_another_kind_is_named(file):
    write(file, replaced("label", ["1", "2"], pa.string()))
    said = refused_or_read(lambda: read_results(file.parent), file)
    assert "expected a column 'label' of int32, got string" in said


def test_text_that_is_no_utf8(file):
    text = pa.array([b"\xff\xfe", b"b"], pa.binary())
    table = replaced("id", text.view(pa.string()), None)
    write(file, table)
    assert "cannot read these results" in refused_or_read(lambda: read_results(file.parent), file)


@pytest.mark.parametrize("name", SCHEMA.names)
def test_a_record_without_a_value_is_named(file, name):
    values = to_table([make("a"), make("b")])[name].to_pylist()
    write(file, replaced(name, [values[0], None], SCHEMA.field(name).type))
    with pytest.raises(DataError, match=f"no usable value of {name}"):
        read_results(file.parent)


@pytest.mark.parametrize("shape", [[2, 2, 4], [2**31 - 1] * 3, [0, 0, 0]])
def test_a_map_of_another_size_than_it_says(file, shape):
    write(file, replaced("map_shape", [[2, 2, 3], shape], SCHEMA.field("map_shape").type))
    with pytest.raises(DataError, match="no usable value of map"):
        read_results(file.parent)


@pytest.mark.parametrize("settings", ["", "{", "5", "[1]", "null", "[" * 100_000])
def test_settings_that_are_none(tmp_path, settings):
    store = ResultStore(tmp_path)
    store.append([make(settings=settings)])
    with pytest.raises(DataError, match="the settings of 'i3d' are not JSON"):
        store.check("i3d", {"mask.iterations": 3})


def test_damage_anywhere_is_read_or_refused(file):
    """Every 40th byte of a file turned round."""
    write(file, to_table([make(str(number), mask=np.zeros(4, np.float32)) for number in range(5)]))
    good = file.read_bytes()
    refused = 0
    for place in range(0, len(good), 40):
        file.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        refused += refused_or_read(lambda: read_results(file.parent), file.parent) is not None
    assert refused
