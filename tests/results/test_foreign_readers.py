"""What other readers make of our files: Parquet by DuckDB, pandas and Spark, TFRecord by one without TensorFlow."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from toy_results import make

from tfvid.data.records import write_records
from tfvid.data.sources.shapes import MovingShapes
from tfvid.results.result_store import ResultStore


@pytest.fixture
def results(tmp_path):
    store = ResultStore(tmp_path)
    store.append([make("a", mask_length=1, mask=np.array([0, 1, 0, 0], np.float32)), make("b", mask_length=3)])
    store.append([make("a", "other", mask_length=2)])
    store.merge()
    return tmp_path / "results.parquet"


def test_duckdb_asks_for_means(results):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed: pip install duckdb")
    rows = duckdb.sql(f"select model, avg(mask_length), count(*) from '{results}' group by model order by model")
    first, second = rows.fetchall()
    assert first[1:] == (2.0, 2) and second == ("other", 2.0, 1)
    asked = f"select list_sum(mask), map_shape, event[1] from '{results}' where id = 'a' and model <> 'other'"
    ((length, shape, start),) = duckdb.sql(asked).fetchall()
    assert (length, tuple(shape), start) == (1.0, (2, 2, 3), -1)


def test_pandas_reads_records_and_maps(results):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    frame = pandas.read_parquet(results)
    assert frame["id"].tolist() == ["a", "b", "a"] and frame["mask_length"].tolist() == [1, 3, 2]
    heat = np.array(frame["map"][0]).reshape(frame["map_shape"][0])
    np.testing.assert_array_equal(heat, np.arange(12).reshape(2, 2, 3))
    assert frame["temporal_iou"].isna().all()


@pytest.mark.long
def test_spark_asks_for_means(results):
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: pip install pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    session = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = session.read.parquet(str(results))
        means = {row["model"]: row["avg(mask_length)"] for row in frame.groupBy("model").avg("mask_length").collect()}
        assert sorted(means.values()) == [2.0, 2.0] and means["other"] == 2.0
        first = frame.filter("id = 'a' and model <> 'other'").first()
        assert first["mask"] == [0, 1, 0, 0] and first["map"] == list(range(12)) and first["map_shape"] == [2, 2, 3]
    finally:
        session.stop()


# In a process of its own: it brings TensorFlow's protocol definitions, of which a process takes one.
READING = """
import io, json, sys
import numpy as np
from PIL import Image
from tfrecord.reader import tfrecord_loader

for example in tfrecord_loader(sys.argv[1], None):
    frames = np.array([np.array(Image.open(io.BytesIO(jpeg))) for jpeg in example.pop("frames")])
    values = {name: np.asarray(value).tolist() for name, value in example.items() if name != "id"}
    print(json.dumps(values | {"id": bytes(example["id"]).decode(), "frames": frames.tolist()}))
"""


def test_another_reader_of_tfrecords(tmp_path):
    if importlib.util.find_spec("tfrecord") is None:
        pytest.skip("tfrecord is not installed: pip install tfrecord")
    dataset = MovingShapes(train=4, validation=2)
    write_records(dataset, "validation", tmp_path, num_frames=4, size=(16, 24))
    (shard,) = (tmp_path / "validation").glob("*.tfrecord")
    printed = subprocess.run([sys.executable, "-c", READING, shard], capture_output=True, text=True, timeout=120)
    assert printed.returncode == 0, printed.stderr
    examples = [json.loads(line) for line in printed.stdout.splitlines()]
    samples = dataset.samples("validation")
    assert [example["id"] for example in examples] == [sample.id for sample in samples]
    assert [example["label"] for example in examples] == [[sample.label] for sample in samples]
    clip = dataset.read(samples[0], 4, (16, 24))
    frames = np.float32(examples[0]["frames"])
    assert frames.shape == (4, 16, 24, 3) and np.abs(frames - clip.frames).mean() < 12  # JPEG
    np.testing.assert_allclose(np.reshape(examples[0]["boxes"], clip.boxes.shape), clip.boxes)
    np.testing.assert_array_equal(examples[0]["event"], clip.event)
