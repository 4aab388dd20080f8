"""The demo's whole path on a few clips; the models that come with tfvid on clips they never saw."""

import json
from pathlib import Path

import pytest

import tfvid
from tfvid.cli import demo
from tfvid.config import load
from tfvid.data.pipeline import load_dataset
from tfvid.data.sources.shapes import MovingShapes
from tfvid.experiments.evaluation import measure, predict
from tfvid.results.result_store import read_results

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    *("data.options.train=14", "data.options.validation=14", "data.size=[32,32]", "data.batch_size=7"),
    *("data.num_frames=8", "train.epochs=1", "explain.mask.iterations=2", "explain.log_iterations=2"),
]
FEWER_LAYERS = {
    "shapes_i3d": [*demo.QUICKER["shapes_i3d"], "model.options.depth=1"],
    "shapes_conv_lstm": [*demo.QUICKER["shapes_conv_lstm"], "model.options.blocks=1"],
}


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "QUICKER", FEWER_LAYERS)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    demo.main(["--out", str(out), "--limit", "2", *SMALL])
    return out


@pytest.mark.long
def test_demo_goes_from_drawing_to_the_page(run):
    assert (run / "index.html").is_file()
    results = read_results(run)
    assert {result.model for result in results} == {"shapes_i3d", "shapes_conv_lstm"}
    assert len(results) == 4 and all(result.event[0] >= 1 for result in results)
    for model in demo.MODELS:
        measures = json.loads((run / model / "evaluation" / "metrics.json").read_text())
        assert measures["clips"] == 14
        assert measures["playbacks"]["forward"]["paired_clips"] == 12


@pytest.mark.long
def test_demo_again_does_nothing_twice(run):
    """Shards, models and explanations of an earlier demo stay as they are."""
    kept = [*run.glob("shards/*/*.tfrecord"), *run.glob("*/model.keras"), *run.glob("**/*.gif")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert len(before) >= 2 + 2 + 4
    demo.main(["--out", str(run), "--limit", "2", *SMALL])
    assert {path: path.stat().st_mtime_ns for path in kept} == before


@pytest.mark.parametrize("name", ["shapes_i3d", pytest.param("shapes_conv_lstm", marks=pytest.mark.long)])
def test_models_that_come_with_tfvid_know_when(name):
    """On clips of another seed: right as they are, the opposite class when reversed, lost on a single frame."""
    dataset = MovingShapes(seed=1, validation=168)
    clips = load_dataset(dataset, "validation", num_frames=16, size=(64, 64), batch_size=28)
    model = tfvid.load_model(ROOT / "saved_models" / name)
    measures = measure(predict(model, clips, ("forward", "reversed", "single_frame")), dataset.reverse_labels)
    assert measures["forward"]["paired_clips"] == 144
    assert measures["forward"]["paired_top_1"] >= 0.85
    assert measures["reversed"]["swapped_top_1"] >= 0.8
    assert measures["single_frame"]["top_1"] <= 0.3


def test_the_models_that_come_with_tfvid_have_todays_configuration():
    """Trained as configs/ says, on the shards that the demo drew."""
    for name in demo.MODELS:
        trained = load(ROOT / "saved_models" / name / "assets.extra" / "config.yaml")
        assert trained.data.records is not None
        assert trained == load(ROOT / "configs" / f"{name}.yaml", [f"data.records={trained.data.records}"])
