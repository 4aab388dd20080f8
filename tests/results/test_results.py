"""The store: what is written comes back, also after a kill; what does not belong together is refused."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_results import make

from tfvid.core.errors import ConfigError, DataError
from tfvid.results.result_store import SCHEMA, Result, ResultStore, from_table, read_results, to_table


def same(left: Result, right: Result):
    for item in dataclasses.fields(Result):
        np.testing.assert_array_equal(getattr(left, item.name), getattr(right, item.name), err_msg=item.name)


def test_a_record_comes_back_as_it_was(tmp_path):
    record = make(event=(1, 3), temporal_iou=0.5, label_name="<b>ünïcode</b>\n", path="a b/ç.mp4")
    ResultStore(tmp_path).append([record])
    (back,) = read_results(tmp_path)
    same(record, back)
    assert back.mask.dtype == back.map.dtype == np.float32
    assert np.isnan(back.temporal_iou_random)


@settings(max_examples=15, deadline=None)
@given(
    mask=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    id=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_mask_map_and_id_survive(mask, shape, id):
    record = make(id, mask=np.array(mask, np.float32), map=np.random.default_rng(0).random(shape, np.float32))
    same(record, from_table(to_table([record]))[0])


def test_plain_pyarrow_reads_it(tmp_path):
    store = ResultStore(tmp_path)
    store.append([make("a"), make("b")])
    store.merge()
    table = pq.read_table(tmp_path / "results.parquet")
    assert table.schema.equals(SCHEMA) and table.schema.metadata[b"tfvid.version"] == b"1"
    assert table["id"].to_pylist() == ["a", "b"]
    assert table["mask"][0].as_py() == [0, 0.25, 1, 0]
    assert table["map_shape"][0].as_py() == [2, 2, 3] and len(table["map"][0]) == 12


def test_parts_and_merged_records_read_the_same(tmp_path):
    store = ResultStore(tmp_path)
    store.append([make("a")])
    store.append([make("b"), make("a", "c_lstm")])
    before = read_results(tmp_path)
    store.merge()
    assert not store.parts.exists()
    store.append([make("c")])
    after = read_results(tmp_path)
    assert [(r.id, r.model) for r in before] == [("a", "i3d"), ("b", "i3d"), ("a", "c_lstm")]
    assert [(r.id, r.model) for r in after] == [("a", "i3d"), ("b", "i3d"), ("a", "c_lstm"), ("c", "i3d")]
    assert ResultStore(tmp_path).done("i3d") == {"a", "b", "c"}
    assert ResultStore(tmp_path).done("c_lstm") == {"a"}
    assert ResultStore(tmp_path).done("other") == set()


def test_a_kill_between_merging_and_removing_parts_doubles_nothing(tmp_path, monkeypatch):
    store = ResultStore(tmp_path)
    store.append([make("a"), make("b")])
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.merge()
    assert store.merged.exists() and store.parts.exists()
    assert [r.id for r in read_results(tmp_path)] == ["a", "b"]
    ResultStore(tmp_path).merge()
    assert pq.read_table(store.merged).num_rows == 2


def test_a_write_that_fails_leaves_no_part(tmp_path, monkeypatch):
    store = ResultStore(tmp_path)
    store.append([make("a")])

    def full(table, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tfvid.results.row_store.pq.write_table", full)
    with pytest.raises(OSError, match="No space"):
        store.append([make("b")])
    assert [file.name.split("-")[1] for file in store.parts.iterdir()] == ["000001"]
    assert store.done("i3d") == {"a"}


def test_other_settings_are_refused_by_name(tmp_path):
    store = ResultStore(tmp_path)
    store.check("i3d", {"mask.iterations": 7})  # nothing there yet
    store.append([make("a")])
    for opened in (store, ResultStore(tmp_path)):
        opened.check("i3d", {"mask.iterations": 3})
        opened.check("c_lstm", {"mask.iterations": 7})
        with pytest.raises(ConfigError, match="mask.iterations was 3, is 7"):
            opened.check("i3d", {"mask.iterations": 7})


def test_files_that_are_not_a_store(tmp_path):
    with pytest.raises(DataError, match="no results here"):
        read_results(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"results\.parquet: cannot read"):
        read_results(tmp_path)
    pq.write_table(to_table([make()]).replace_schema_metadata({"tfvid.version": "99"}), tmp_path / "results.parquet")
    with pytest.raises(DataError, match="expected results of version 1, got version 99"):
        ResultStore(tmp_path)


def test_records_of_earlier_versions_are_read_and_merged_with_new_ones(tmp_path):
    new = ["top", "top_names", "top_scores", "damage", "still", "map_method", "map_layer", "shown", "seconds"]
    new += ["more_methods", "more_maps", "more_map_shapes", "more_layers", "reel_panels"]
    old = make("a")
    (tmp_path / "results.parts").mkdir()
    pq.write_table(to_table([old, make("b")]).drop_columns(new), tmp_path / "results.parts" / "part-000001-a.parquet")
    store = ResultStore(tmp_path)
    record = make("b", top=(1, 0), top_names=("left", "right"), top_scores=np.float32([0.75, 0.25]), still=True)
    store.append([dataclasses.replace(record, damage="ends early")])
    for _ in range(2):
        first, second = read_results(tmp_path)
        same(old, first)
        assert (first.top, first.top_names, first.damage, first.still) == ((), (), "", False)
        assert (first.map_method, first.map_layer) == ("grad_cam", "")
        assert first.top_scores.shape == (0,) and first.top_scores.dtype == np.float32
        same(dataclasses.replace(record, damage="ends early"), second)
        store.merge()
    assert pq.read_schema(tmp_path / "results.parquet").equals(SCHEMA)


@pytest.mark.parametrize("change", [{"top": (1,)}, {"top_names": ()}, {"top_scores": np.zeros(3, np.float32)}])
def test_scores_of_no_class_are_refused(tmp_path, change):
    right = {"top": (1, 0), "top_names": ("left", "right"), "top_scores": np.float32([0.75, 0.25])}
    ResultStore(tmp_path).append([make(**right | change)])
    with pytest.raises(DataError, match="top, top_names and top_scores do not belong together"):
        read_results(tmp_path)


def test_the_docs_list_every_column():
    text = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    table = text[text.index("## The columns") :]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == SCHEMA.names


def test_records_without_their_maps(tmp_path):
    records = [make("a"), make("b", "c_lstm")]
    ResultStore(tmp_path).append(records)
    for record, back in zip(records, read_results(tmp_path, maps=False), strict=True):
        assert back.map.shape == (0, 0, 0)
        same(dataclasses.replace(back, map=record.map), record)
