"""Rows in Parquet: the last of each key counts, and reading and merging hold some rows only."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import DataError
from tfvid.results.row_store import ROWS_AT_ONCE, RowStore

SCHEMA = pa.schema(
    {"model": pa.string(), "id": pa.string(), "values": pa.list_(pa.float32())}, metadata={b"tfvid.version": "7"}
)


def rows(ids, model="m", value=0.0, length=2) -> pa.Table:
    values = [np.full(length, value, np.float32)] * len(ids)
    return pa.table({"model": [model] * len(ids), "id": list(ids), "values": values}).cast(SCHEMA)


def test_of_two_rows_with_one_key_the_later_counts(tmp_path):
    store = RowStore(tmp_path, "table", SCHEMA)
    store.append(rows("ab", value=1))
    store.append(pa.concat_tables([rows("b", value=2), rows("a", model="n", value=3)]))
    expected = [("m", "a", 1), ("m", "b", 2), ("n", "a", 3)]
    for _ in range(2):
        found = [(row["model"], row["id"], row["values"][0]) for row in store.read().to_pylist()]
        assert found == expected
        assert store.read(["id"]).to_pydict() == {"id": ["a", "b", "a"]}
        store.merge()
    assert store.files() == [tmp_path / "table.parquet"]
    schema = pq.read_schema(store.merged)
    assert schema.equals(SCHEMA) and schema.metadata == SCHEMA.metadata


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), max_size=6), st.integers(0, 6))
def test_it_is_a_dictionary_whenever_it_is_merged(tmp_path_factory, parts, merged_after):
    store, expected = RowStore(tmp_path_factory.mktemp("store"), "table", SCHEMA), {}
    for place, ids in enumerate(parts):
        store.append(rows([str(id) for id in ids], value=place))
        expected |= {str(id): float(place) for id in ids}
        if place == merged_after:
            store.merge()
    assert {row["id"]: row["values"][0] for row in store.read().to_pylist()} == expected
    assert sum(table.num_rows for table in store.batches()) == len(expected)


def test_memory_is_flat_in_the_number_of_rows(tmp_path):
    """What Python and Arrow hold while merging 8 times as many rows of 40 KB is no more than half as much again."""
    peaks = []
    for place, count in enumerate((2 * ROWS_AT_ONCE, 16 * ROWS_AT_ONCE)):
        store = RowStore(tmp_path / str(place), "table", SCHEMA)
        for start in range(0, count, 64):
            store.append(rows([str(start + i) for i in range(64)], value=start, length=10_000))
        usual = pa.default_memory_pool()
        pool = pa.proxy_memory_pool(usual)
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            store.merge()
            peaks.append(pool.max_memory() + tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(usual)
        assert pq.read_metadata(store.merged).num_rows == count
        assert pq.read_metadata(store.merged).num_row_groups == count // ROWS_AT_ONCE
    assert 1e6 < peaks[1] < 1.5 * peaks[0]


def test_files_of_another_kind_are_refused(tmp_path):
    store = RowStore(tmp_path, "table", SCHEMA)
    assert store.read().num_rows == 0
    pq.write_table(rows("a").replace_schema_metadata({"tfvid.version": "8"}), store.merged)
    with pytest.raises(DataError, match=r"table\.parquet: expected table of version 7, got version 8"):
        store.read()
    store.merged.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"table\.parquet: cannot read"):
        store.read()
