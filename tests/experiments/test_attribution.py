"""The attribution benchmark: from end to end on small networks, and its parts on numbers known by hand."""

import csv
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

import tfvid.experiments.attribution.correlation
import tfvid.metrics.statistics
from tfvid.cli.benchmark import main
from tfvid.config import AttributionConfig, MeasureConfig, MethodConfig, from_dict, load, to_yaml
from tfvid.core.errors import ConfigError, DataError, ModelError, TfvidError
from tfvid.experiments.attribution import agreement, findings, flow, plots, records, tables
from tfvid.experiments.attribution.correlation import between, correlations, within
from tfvid.experiments.attribution.document import write_document
from tfvid.experiments.attribution.judge import Judge
from tfvid.experiments.attribution.judged import Judged, judged
from tfvid.experiments.attribution.measures import OBJECTIVE, TRUTH, Measure, find_measures
from tfvid.experiments.attribution.methods import as_map, baseline, check_options
from tfvid.experiments.attribution.records import Record
from tfvid.explain.base import Attribution, Explanation
from tfvid.metrics.baselines import BASELINES
from tfvid.models.card import ModelCard
from tfvid.report.finding import Finding

CLASSES = ("Moving something up", "Moving something down", "Something appearing")
OWN_METHOD = '''
from tfvid.core.errors import ModelError
from tfvid.explain.base import Explainer


class Bright(Explainer):
    """How bright a pixel is; of networks with a pooling layer only."""

    def _compute(self, clips, target):
        if not any("pool" in layer.name for layer in self.classifier.model.layers):
            raise ModelError("expected a pooling layer | got none; use grad_cam")
        return {"attribution": clips.numpy().mean(-1)}
'''


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """The statistics have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfvid.metrics.statistics, "RESAMPLES", 99)
        patch.setattr(tfvid.experiments.attribution.correlation, "RESAMPLES", 99)
        yield


# From end to end ------------------------------------------------------------------------------------------------


def save(folder: Path, *middle) -> Path:
    """A small network with its card."""
    folder.mkdir(parents=True)
    first = keras.layers.Conv3D(4, (3, 5, 5), (1, 2, 2), padding="same", activation="relu")
    head = [keras.layers.Flatten(), keras.layers.Dense(len(CLASSES))]
    model = keras.Sequential([keras.Input((8, 24, 24, 3)), first, *middle, *head])
    model.save(folder / "model.keras")
    (folder / "card.json").write_text(ModelCard(folder.name, CLASSES, 8, (24, 24), "shapes").to_json(), "utf-8")
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    keras.utils.set_random_seed(1)
    (folder / "own.py").write_text(OWN_METHOD, encoding="utf-8")
    return {
        "with_pool": save(folder / "with_pool", keras.layers.MaxPooling3D((2, 2, 2), name="pool")),
        "plain": save(folder / "plain"),
        "own": folder / "own.py",
    }


def settings(trained, /, **changes) -> dict:
    return {
        "name": "small",
        "networks": [{"name": name, "path": str(trained[name])} for name in ("with_pool", "plain")],
        "data": {
            "dataset": "shapes",
            "options": {"classes": list(CLASSES), "validation": 9},
            **{"num_frames": 8, "size": [24, 24], "batch_size": 2, "workers": 1},
        },
        "limit": 4,
        "methods": [
            {"name": "grad_cam"},
            {"name": "grad_cam", "label": "grad_cam | clip", "options": {"pool": "clip"}},
            {"name": "temporal_mask", "options": {"method": "search"}, "without": ["max_sensitivity"]},
            {"name": f"{trained['own']}:Bright", "label": "bright"},
        ],
        "measures": [
            {"name": "insertion", "options": {"steps": 4}},
            {"name": "max_sensitivity", "options": {"samples": 1}, "limit": 1},
            {"name": "energy_in_box"},
            {"name": "average_precision"},
        ],
        "sanity_methods": ["grad_cam"],
        "sanity_clips": 1,
    } | changes


def config_of(trained, /, **changes) -> AttributionConfig:
    return from_dict(settings(trained, **changes), "test", AttributionConfig)


@pytest.fixture
def no_report(monkeypatch):
    """Records only: drawing takes longer than explaining such networks."""
    monkeypatch.setattr(flow, "write_report", lambda *_, **__: None)


@pytest.fixture(scope="module")
def finished(networks, tmp_path_factory) -> Path:
    """The folder of a finished benchmark, with its document."""
    folder = tmp_path_factory.mktemp("benchmark")
    config = folder / "bench.yaml"
    config.write_text(yaml.safe_dump(settings(networks)), encoding="utf-8")
    main(["--config", str(config), "--out", str(folder / "out"), "--document", str(folder / "docs" / "attribution.md")])
    return folder / "out"


def numbers(value):
    """Every number in nested lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


def rows_of(folder: Path) -> dict[tuple, dict]:
    """All records but what differs from run to run, by network, method and clip."""
    found = {}
    for row in records.store(folder).read().to_pylist():
        del row["seconds"], row["compiled"]
        found[row["model"], row["method"], row["clip"]] = row
    return found


@pytest.mark.long
@pytest.mark.long
def test_a_benchmark_leaves_what_it_promises(finished):
    """Rows for the five blind maps, each method and each clip; a network refused has a row that says why."""
    report = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert all(math.isfinite(number) for number in numbers(report))
    kept = rows_of(finished)
    assert len(kept) == 9 * 4 + 8 * 4 and not list(finished.rglob("*.parts"))
    table = next(table for table in report["tables"] if table["id"] == "methods")
    assert len(table["rows"]) == 18
    refused = [row for row in table["rows"] if row["note"]]
    assert [(row["network"], row["method"]) for row in refused] == [("plain", "bright")]
    assert refused[0]["note"] == "expected a pooling layer | got none; use grad_cam" and refused[0]["insertion"] is None
    for row in table["rows"]:
        if not row["note"]:
            assert row["insertion"]["n"] == 4 and row["seconds"] >= 0
            assert (row["max_sensitivity"] is None) == (row["method"] == "temporal_mask")
    assert [row["method"] for row in table["rows"][:5]] == list(BASELINES)
    assert {row["max_sensitivity"]["n"] for row in table["rows"] if row["max_sensitivity"]} == {1}
    for table in report["tables"]:
        with (finished / table["csv"]).open(encoding="utf-8") as file:
            assert len(list(csv.reader(file))) == 1 + len(table["rows"])
    assert {table["id"] for table in report["tables"]} == {"methods", "claims", "correlation", "agreement", "sanity"}
    for figure in report["figures"]:
        with Image.open(finished / figure["file"]) as picture:
            assert min(picture.size) > 100
    assert len(report["figures"]) == 5


@pytest.mark.long
def test_values_are_what_the_measures_say(finished, networks):
    """A record's values are those of the measure for the map that the method gives when it is asked directly."""
    from tfvid.data.pipeline import load_dataset
    from tfvid.explain import explainer
    from tfvid.metrics.when import average_precision
    from tfvid.models.loading import load_model

    options = {"classes": list(CLASSES), "validation": 9}
    batches = load_dataset(
        "shapes", "validation", options=options, num_frames=8, size=(24, 24), batch_size=9, workers=1
    )
    batch = next(iter(batches.as_numpy_iterator()))
    result = explainer("grad_cam", load_model(networks["plain"]))(batch["clip"])
    expected = average_precision(result.attribution, batch["event"])
    for row, id in enumerate(batch["id"][:4]):
        record = rows_of(finished)["plain", "grad_cam", id.decode()]
        assert dict(record["values"])["average_precision"] == pytest.approx(expected[row], abs=1e-4)
        assert (record["target"], record["label"]) == (result.target[row], batch["label"][row])


@pytest.mark.long
def test_the_document(finished):
    text = (finished.parent / "docs" / "attribution.md").read_text(encoding="utf-8")
    assert "| grad\\_cam \\| clip |" in text and "got none; use grad\\_cam" in text
    assert "* bright: expected a pooling layer \\| got none" in text
    assert "max sensitivity ↓ (1 clips)" in text and "do not edit" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (finished.parent / "docs" / line.partition("](")[2].rstrip(")")).is_file()
    tables_of = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in tables_of)
    with pytest.raises(DataError, match="no report of a benchmark here"):
        write_document(finished.parent, finished.parent / "x.md", "a.yaml")


@pytest.mark.long
@pytest.mark.long
def test_killed_and_resumed_equals_uninterrupted(finished, networks, tmp_path, monkeypatch, no_report):
    """Stopped in the middle of the second batch, it keeps what it had and does only what is missing."""
    plain = settings(networks)["networks"][1:]
    config, calls, real = config_of(networks, networks=plain), [], records.coarse

    def stops(maps):
        calls.append(len(maps))
        if len(calls) == 11:
            raise KeyboardInterrupt
        return real(maps)

    monkeypatch.setattr(records, "coarse", stops)
    with pytest.raises(KeyboardInterrupt):
        flow.run(config, tmp_path)
    kept = rows_of(tmp_path)
    assert len(kept) == 10 * 2
    monkeypatch.setattr(records, "coarse", lambda maps: calls.append(len(maps)) or real(maps))
    flow.run(config, tmp_path)
    assert sum(calls[11:]) == 32 - 20
    resumed = rows_of(tmp_path)
    whole = {key: row for key, row in rows_of(finished).items() if key[0] == "plain"}
    assert resumed.keys() == whole.keys()
    for key, row in whole.items():
        for (name, value), (other, again) in zip(row["values"], resumed[key]["values"], strict=True):
            assert name == other and (value is None) == (again is None)
            assert value is None or again == pytest.approx(value, abs=1e-4)
        assert {k: row[k] for k in ("target", "predicted", "label")} == {
            k: resumed[key][k] for k in ("target", "predicted", "label")
        }


@pytest.mark.long
@pytest.mark.long
def test_changed_options_make_only_their_records_anew(finished, networks, tmp_path, monkeypatch, no_report):
    """A method with other options is explained again, one more clip for a costly measure too; nothing else is."""
    import shutil

    shutil.copytree(finished, tmp_path / "out")
    seen, real = [], Judge.records_of

    def watching(self, method, batch, *rest):
        seen.extend((self.name, method.row, id) for id in batch["id"])
        return real(self, method, batch, *rest)

    monkeypatch.setattr(Judge, "records_of", watching)
    changed = settings(networks)
    changed["networks"] = changed["networks"][1:]
    changed["methods"][1]["options"] = {"pool": "clip", "normalize": "frame"}
    flow.run(from_dict(changed, "test", AttributionConfig), tmp_path / "out")
    assert {method for _, method, _ in seen} == {"grad_cam | clip"} and len(seen) == 4
    seen.clear()
    changed["measures"][1]["limit"] = 2
    flow.run(from_dict(changed, "test", AttributionConfig), tmp_path / "out")
    assert {id for _, _, id in seen} == {"validation-000001"} and "temporal_mask" not in {row for _, row, _ in seen}
    with pytest.raises(ConfigError, match="other settings .*seed was 0, is 1"):
        flow.run(from_dict(changed | {"seed": 1}, "test", AttributionConfig), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": [{"name": "grad_cm"}]}, "unknown explainer 'grad_cm'; did you mean 'grad_cam'"),
        ({"methods": [{"name": "grad_cam", "options": {"pol": 1}}]}, "grad_cam: unknown option 'pol'"),
        ({"methods": [{"name": "grad_cam", "label": "centre"}]}, "'centre' is always there"),
        ({"methods": [{"name": "grad_cam"}] * 2}, "methods must be of different names"),
        ({"methods": [{"name": "grad_cam", "without": ["insert"]}]}, "without: unknown measure 'insert'"),
        ({"measures": [{"name": "insertin"}]}, "unknown metric 'insertin'"),
        ({"measures": [{"name": "insertion", "options": {"stps": 2}}]}, "insertion: unknown option 'stps'"),
        ({"measures": []}, "measures must be one or more"),
        ({"sanity_methods": ["grad"]}, "sanity_methods: unknown method 'grad'"),
        ({"networks": []}, "networks must be one or more"),
        ({"classes": ["Moving"]}, "unknown class 'Moving'"),
        ({"split": "test"}, "unknown split 'test'"),
    ],
)
def test_refusals_before_any_work(networks, tmp_path, changes, message):
    merged = settings(networks, **({"sanity_methods": []} | changes))
    if "measures" in changes:
        merged["methods"] = [{"name": "grad_cam"}]
    with pytest.raises(TfvidError, match=message):
        flow.run(from_dict(merged, "test", AttributionConfig), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_configuration_files_are_valid(networks, tmp_path):
    config = config_of(networks)
    (tmp_path / "small.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load(tmp_path / "small.yaml", kind=AttributionConfig) == config


# Methods and measures -------------------------------------------------------------------------------------------


def test_maps_of_results():
    shape, classes = (1, 3, 2, 2, 3), np.zeros(1, np.int32)
    drawn = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    np.testing.assert_array_equal(as_map(Attribution(classes, classes, np.ones(1), drawn), shape), drawn)
    mask = Explanation(classes, classes)
    object.__setattr__(mask, "mask", np.array([[0, 1, 0.5]], np.float32))
    np.testing.assert_array_equal(as_map(mask, shape)[0], [[[0, 0]] * 2, [[1, 1]] * 2, [[0.5, 0.5]] * 2])
    with pytest.raises(ConfigError, match="neither an attribution .* nor a mask"):
        as_map(Explanation(classes, classes), shape)


def test_blind_maps_are_judged_by_the_predicted_class():
    clips = np.zeros((2, 3, 4, 4, 3), np.float32)
    explain = baseline("centre", lambda clips: np.array([5, 6]), seed=0)
    assert explain(clips).target.tolist() == [5, 6] and explain(clips, np.array([1, 2])).target.tolist() == [1, 2]
    assert explain(clips).attribution.shape == (2, 3, 4, 4)
    first, again, other = (baseline("random", lambda clips: np.zeros(2), seed)(clips) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.attribution, again.attribution)
    assert not np.array_equal(first.attribution, other.attribution)
    check_options(MethodConfig("grad_cam", options={"pool": "clip"}))


def test_measures_are_given_what_they_ask_for(tmp_path):
    (tmp_path / "mine.py").write_text("def mine(maps, event, *, scale=1):\n    return scale * maps.max((1, 2, 3))\n")
    configs = [
        MeasureConfig("deletion"),
        MeasureConfig("energy_in_box"),
        MeasureConfig(f"{tmp_path}/mine.py:mine", {"scale": 3}),
    ]
    deletion, energy, mine = find_measures(configs, max_boxes=2)
    assert (deletion.kind, deletion.higher, deletion.needs) == (OBJECTIVE, False, "")
    assert (energy.kind, energy.higher, energy.needs) == (TRUTH, True, "boxes")
    assert (mine.name, mine.kind, mine.needs) == ("mine", TRUTH, "event")
    maps, event = np.ones((3, 4, 2, 2)), np.array([[0, 2], [-1, -1], [1, 3]])
    np.testing.assert_array_equal(mine(maps=maps, event=event, boxes=None, model=None), [3, np.nan, 3])
    boxes = np.full((2, 4, 1, 4), np.nan)
    boxes[0, 1, 0] = [0, 0, 1, 1]
    values = energy(maps=maps[:2], boxes=boxes)
    assert values[0] == 0.25 and np.isnan(values[1])
    assert [measure.name for measure in find_measures(configs, max_boxes=0)] == ["deletion", "mine"]
    with pytest.raises(ConfigError, match="all of them ask for boxes"):
        find_measures(configs[1:2], max_boxes=0)


# Records --------------------------------------------------------------------------------------------------------


def record(method="a", clip="x", values=None, **changes) -> Record:
    fixed = {"network": "net", "made_by": "d", "label": 1, "target": 1, "predicted": 1, "seconds": 1.0}
    fixed |= {"compiled": False, "coarse": np.ones((2, 1, 1), np.float16)}
    return Record(method=method, clip=clip, values=values or {}, **fixed | changes)


def test_records_survive_the_store(tmp_path):
    """Those made otherwise, or of another network, are not read."""
    kept = record(
        values={"insertion": 0.5, "energy_in_box": math.nan}, coarse=np.arange(4, dtype=np.float16).reshape(1, 2, 2)
    )
    others = [record("b"), record(clip="y", made_by="other"), record(network="else")]
    records.store(tmp_path).append(records.rows([kept, *others]))
    (found,) = records.read(tmp_path, {("net", "a"): "d"}, with_maps=True)
    assert found.values["insertion"] == 0.5 and math.isnan(found.values["energy_in_box"])
    np.testing.assert_array_equal(found.coarse, kept.coarse)
    assert (found.network, found.method, found.clip, found.label, found.compiled) == ("net", "a", "x", 1, False)
    (without,) = records.read(tmp_path, {("net", "a"): "d"})
    assert without.coarse.size == 0


def test_digests_follow_weights_and_options():
    config = AttributionConfig(
        networks=(tfvid.config.NetworkConfig("n", "p"),),
        methods=(MethodConfig("grad_cam"), MethodConfig("rise", without=("insertion",))),
        measures=(MeasureConfig("insertion", limit=3),),
    )
    import dataclasses

    def digests(config, weights):
        return records.made_by(records.with_baselines(config.methods), config.measures, weights)

    before = digests(config, {"n": "weights"})
    assert set(before) == {("n", row) for row in (*BASELINES, "grad_cam", "rise")} and len({*before.values()}) == 7
    assert before != digests(config, {"n": "others"})
    steps = dataclasses.replace(config, measures=(MeasureConfig("insertion", {"steps": 9}),))
    changed = {key for key, digest in digests(steps, {"n": "weights"}).items() if digest != before[key]}
    assert changed == {("n", row) for row in (*BASELINES, "grad_cam")}  # the other is without it
    more = dataclasses.replace(config, measures=(MeasureConfig("insertion", limit=5),))
    assert digests(more, {"n": "weights"}) == before


def test_coarse_maps():
    maps = np.zeros((2, 1, 32, 48), np.float32)
    maps[0, 0, :2, :3] = -4.0  # one cell
    maps[0, 0, 30:, 45:] = 2.0
    small = records.coarse(maps)
    assert small.shape == (2, 1, 16, 16) and small.dtype == np.float16
    assert small[0, 0, 0, 0] == -1 and small[0, 0, -1, -1] == 0.5 and np.count_nonzero(small) == 2
    assert records.coarse(np.ones((1, 2, 4, 5))).shape == (1, 2, 4, 5)


# Columns, correlation, tables -----------------------------------------------------------------------------------


def measure(name, kind=OBJECTIVE, higher=True, clips=None) -> Measure:
    return Measure(name, len, {}, kind, higher, "", clips)


def test_columns_of_fabricated_records():
    measures = [measure("insertion"), measure("energy", TRUTH)]
    found = judged(
        [
            record("b", "x", {"insertion": 0.25, "energy": 0.5}, seconds=9.0, compiled=True),
            record("b", "y", {"insertion": 0.75}, seconds=2.0, label=0),
            record("a", "y", {"insertion": 0.5, "energy": math.nan}, seconds=7.0, compiled=True, label=0),
            record("a", "elsewhere", {"insertion": 9.0}),
        ],
        ["a", "b", "c"],
        measures,
        ["x", "y"],
    )
    assert found.methods == ["a", "b"]
    np.testing.assert_array_equal(found.of(measures[0]), [[np.nan, 0.5], [0.25, 0.75]])
    np.testing.assert_array_equal(found.of(measures[1]), [[np.nan, np.nan], [0.5, np.nan]])
    assert found.seconds == {"a": 7.0, "b": 2.0}  # compiling is in the only one of a
    assert found.correct == 0.5


def network(columns: dict[Measure, list[float]], methods=None, clips=5) -> Judged:
    """Methods whose values of a measure are the same for every clip; the first two rows are the blind maps."""
    count = len(next(iter(columns.values())))
    methods = methods or ["random", "centre", *(f"m{row}" for row in range(count - 2))]
    values = np.stack([np.tile(np.array(column)[:, np.newaxis], clips) for column in columns.values()], axis=1)
    return Judged(
        methods, list(columns), [f"c{clip}" for clip in range(clips)], values, dict.fromkeys(methods, 1.0), 1.0
    )


def test_signs_of_correlations():
    """Less is better of deletion, so methods in falling order by it are in rising order of goodness."""
    insertion, deletion = measure("insertion"), measure("deletion", higher=False)
    same, other, flat = (measure(name, TRUTH) for name in ("same", "other", "flat"))
    found = correlations(
        network(
            {
                insertion: [9, 0, 1, 2, 3, 4],
                deletion: [9, 0, 4, 3, 2, 1],
                same: [0, 9, 10, 20, 30, 40],
                other: [0, 0, 4, 3, 2, 1],
                flat: [1, 2, 5, 5, 5, 5],
            }
        )
    )
    rho = {(pair.first.name, pair.second.name): pair for pair in found}
    for name in ("insertion", "deletion"):
        assert rho[name, "same"].spearman == rho[name, "same"].kendall == 1
        assert rho[name, "other"].spearman == rho[name, "other"].kendall == -1
        assert rho[name, "flat"].spearman is rho[name, "flat"].low is None
    assert rho["insertion", "deletion"].spearman == 1 and rho["same", "other"].spearman == -1
    assert (rho["insertion", "same"].low, rho["insertion", "same"].high) == (1, 1)
    assert rho["insertion", "same"].methods == 4  # the blind maps are not among them
    assert len(between(found)) == 4 and len(within(found, OBJECTIVE)) == len(within(found, TRUTH)) == 1


def test_a_correlation_by_hand():
    """Ranks 1 2 3 4 and 2 1 4 3: rho = 1 - 6 * 4 / (4 * 15) = 0.6; 4 of 6 pairs are in order: tau = 1/3."""
    a, b = measure("a"), measure("b", TRUTH)
    (pair,) = correlations(network({a: [0, 0, 1, 2, 3, 4], b: [0, 0, 2, 1, 4, 3]}))
    assert pair.spearman == pytest.approx(0.6) and pair.kendall == pytest.approx(1 / 3)
    (pair,) = correlations(network({a: [0, 0, 1, 2, 3], b: [0, 0, 2, 1, 4]}))
    assert pair.spearman is None and pair.methods == 3  # too few


def test_intervals_follow_the_clips():
    """Four clips on which the measures agree, and one on which they differ so much that it decides wherever it is."""
    a, b = measure("a"), measure("b", TRUTH)
    values = np.zeros((6, 2, 5))
    values[2:, 0] = np.array([[1, 2, 3, 4]] * 5).T
    values[2:, 1] = np.array([[1, 2, 3, 4]] * 4 + [[40, 30, 20, 10]]).T
    methods = ["random", "centre", "w", "x", "y", "z"]
    (pair,) = correlations(Judged(methods, [a, b], list("cdefg"), values, {}, None))
    assert (pair.spearman, pair.low, pair.high) == (-1, -1, 1)
    (pair,) = correlations(Judged(methods, [a, b], list("cdef"), values[..., :4], {}, None))
    assert pair.spearman == 1 and pair.low is pair.high is None  # too few clips to draw from


def test_methods_without_a_measure_are_left_out_of_its_correlations():
    a, b = measure("a"), measure("b", TRUTH)
    (pair,) = correlations(network({a: [0, 0, 1, 2, 3, 4, math.nan], b: [0, 0, 1, 2, 3, 4, 0]}))
    assert pair.methods == 4 and pair.spearman == 1


def test_what_the_measures_say_of_one_another():
    a, b = measure("a"), measure("b", TRUTH)
    agreeing = correlations(network({a: [0, 0, 1, 2, 3, 4], b: [0, 0, 1, 2, 3, 4]}))
    opposing = correlations(network({a: [0, 0, 1, 2, 3, 4], b: [0, 0, 4, 3, 2, 1]}))
    few = correlations(network({a: [0, 0, 1], b: [0, 0, 1]}))
    assert findings.disagreement({"n": agreeing}).holds is False
    found = findings.disagreement({"n": opposing, "empty": few})
    assert found.holds is True and "n: 0 of 1 pairs agree, 1 are opposed" in found.answer
    assert findings.disagreement({"n": few}) == Finding(found.question, "There are too few methods or clips.", None)
    half = findings.disagreement({"n": agreeing, "m": opposing})
    assert half.holds is False and half.answer.startswith("1 of 2 pairs agree")


def test_best_methods_and_ranks():
    a, b, c = measure("a", higher=False), measure("b", TRUTH), measure("c", TRUTH)
    judged_ = network({a: [9, 8, 1, 2], b: [0, 1, 2, 3], c: [0, 0, math.nan, 3]})
    np.testing.assert_array_equal(findings.ranked(judged_), [[4, 4, 2.5], [3, 3, 2.5], [1, 2, np.nan], [2, 1, 1]])
    np.testing.assert_array_equal(findings.mean_ranks(judged_, TRUTH), [3.25, 2.75, 2, 1])
    found = findings.best("net", judged_)
    assert found.holds is False and "m0 by objective measures, m1 by ground-truth measures" in found.answer
    assert findings.best("net", network({b: [0, 1, 2, 3]})).holds is None


def test_methods_no_better_than_blind_maps():
    b = measure("b", TRUTH)
    values = np.array([[[0.1, 0.2, 0.3, 0.2]], [[0.2, 0.3, 0.2, 0.1]], [[0.8, 0.9, 0.7, 0.9]], [[0.1, 0.3, 0.2, 0.2]]])
    judged_ = Judged(["random", "centre", "good", "poor"], [b], list("wxyz"), values, {}, None)
    found = findings.beaten_by_chance("net", judged_)
    assert found.holds is False  # one of two is not most
    answer = "Of 2 methods, 1 are better than all 2 by one measure or more; "
    answer += "best, by 1 of 1 measures: good; by no measure: poor."
    assert found.answer == answer


def test_tables_by_hand():
    a, b = measure("a", higher=False), measure("b", TRUTH)
    judged_ = network({a: [3, 2, 1], b: [0, 1, 2]})
    table = tables.methods_table({"net": judged_}, {"net": {"gone": "why"}}, ["random", "centre", "m0", "gone"], 0)
    assert [row["method"] for row in table.rows] == ["random", "centre", "m0", "gone"]
    assert table.rows[2]["a"]["mean"] == 1 and table.rows[2]["rank objective"] == 1.0
    assert table.rows[3]["note"] == "why" and table.rows[3]["a"] is table.rows[3]["seconds"] is None
    assert [column.title for column in table.columns][2:4] == ["a ↓", "b ↑"]
    matrix = np.array([[1, 0.5, -0.5], [0.5, 1, 0.25], [-0.5, 0.25, 1]])
    rows = tables.agreement_table({"net": (["x", "y", "z"], matrix)}).rows
    assert [(row["first"], row["second"], row["spearman"]) for row in rows] == [
        ("y", "x", 0.5),
        ("z", "y", 0.25),
        ("z", "x", -0.5),
    ]
    steps = [{"layer": str(depth), "spearman": depth / 10, "ssim": 0.0} for depth in range(5)]
    sanity = tables.sanity_table([{"network": "net", "method": "m", "clips": 2, "cascade": steps}]).rows[0]
    assert [sanity[f"spearman {depth}"] for depth in (0.0, 0.5, 1.0)] == [0.0, 0.2, 0.4] and sanity["layers"] == 5
    assert tables.sanity_table([]) is None


def test_agreement_of_kept_maps():
    up = np.arange(4, dtype=np.float16).reshape(1, 2, 2)
    kept = [record("a", "x", coarse=up), record("b", "x", coarse=3 - up), record("a", "y", coarse=up)]
    np.testing.assert_allclose(agreement.agreement(kept, ["a", "b"], ["x", "y"]), [[1, -1], [-1, 1]], atol=1e-6)
    assert np.isnan(agreement.agreement(kept, ["a", "b"], ["y"])).all()


def test_figures_of_awkward_numbers(tmp_path):
    """One method, no numbers at all, two networks with different rows; a name that is no file name."""
    a, b = measure("a"), measure("b", TRUTH)
    some, none = network({a: [1, 2, 3], b: [1, 2, 3]}), network({a: [math.nan] * 2, b: [math.nan] * 2})
    found = {name: correlations(judged_) for name, judged_ in {"some": some, "none": none}.items()}
    for file in (
        plots.draw_ranks({"some": some, "none": none}, tmp_path / "ranks.png"),
        plots.draw_correlations(found, tmp_path / "correlation.png"),
        plots.draw_agreement({"none": (["x"], np.full((1, 1), np.nan))}, tmp_path / "agreement.png"),
    ):
        with Image.open(file) as picture:
            assert min(picture.size) > 100
    batch = {
        "clip": np.zeros((1, 4, 20, 30, 3), np.float32),
        "event": np.array([[-1, -1]]),
        "boxes": np.zeros((1, 4, 0, 4)),
    }
    file = plots.draw_clip(batch, {"m": np.zeros((4, 2, 2), np.float16)}, "title", tmp_path / "clip.png")
    with Image.open(file) as picture:
        assert min(picture.size) > 100


def test_a_network_that_does_not_know_the_classes(networks, tmp_path):
    data = settings(networks)["data"] | {"options": {"classes": ["Turning the camera left"], "validation": 3}}
    with pytest.raises(ModelError, match="knows no class 'Turning the camera left'"):
        flow.run(config_of(networks, data=data), tmp_path)
