"""The study from end to end with real (small, untrained) models, and its parts on numbers known by hand."""

import csv
import dataclasses
import json
import math
import re
import time
from pathlib import Path

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from forks import SCRIPT
from toy_results import make

import tfvid.experiments.study
import tfvid.metrics.statistics
from tfvid.cli.compare import main
from tfvid.config import StudyConfig, from_dict, load, to_yaml
from tfvid.core.errors import ConfigError, DataError, ModelError, TfvidError
from tfvid.data.decode.clip import Sample
from tfvid.experiments import manifest
from tfvid.experiments.evaluation import Predictions
from tfvid.experiments.study import predictions, tables
from tfvid.experiments.study.differences import differences, filtered_ratio
from tfvid.experiments.study.document import write_document
from tfvid.experiments.study.findings import findings, verdict
from tfvid.experiments.study.measures import COLUMNS, MEASURES, Measured, mean_over
from tfvid.experiments.study.measures import measure as measure_clips
from tfvid.experiments.study.measures import read as read_measures
from tfvid.experiments.study.predictions import Answers
from tfvid.experiments.study.published import published
from tfvid.experiments.study.report import write_report
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.metrics.blobs import VARIANTS, blob_statistics
from tfvid.metrics.statistics import comparison
from tfvid.models.card import ModelCard
from tfvid.results.result_store import ResultStore, read_results

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("Moving something up", "Moving something down", "Something appearing")


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Enough for p-values of 0.01; the statistics have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfvid.metrics.statistics, "RESAMPLES", 999)
        yield


# From end to end ------------------------------------------------------------------------------------------------


def save(folder: Path, model, class_names=CLASSES) -> Path:
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    num_frames, size = model.input_shape[1], model.input_shape[2:4]
    card = ModelCard(folder.name, tuple(class_names), num_frames, size, "shapes")
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")
    return folder


def small(classes=3, size=(32, 32), filters=4) -> keras.Model:
    """Quick to compile; tests of explaining have real networks."""
    return keras.Sequential(
        [
            keras.Input((8, *size, 3)),
            keras.layers.Conv3D(filters, (3, 5, 5), (1, 2, 2), padding="same", activation="relu"),
            keras.layers.MaxPooling3D((2, 2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Three models, each in a folder with its card."""
    folder = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(1)
    filters = {"i3d": 4, "i3d_again": 4, "c_lstm": 6}
    return {name: save(folder / name, small(filters=count)) for name, count in filters.items()}


def settings(trained, **changes) -> dict:
    groups = [
        {"name": "I3D", "paths": [str(trained["i3d"]), str(trained["i3d_again"])]},
        {"name": "C-LSTM", "paths": [str(trained["c_lstm"])]},
    ]
    data = {"dataset": "shapes", "options": {"classes": list(CLASSES), "validation": 9}, "num_frames": 8, "workers": 1}
    return {
        "name": "small",
        "models": groups,
        "data": data | {"size": [32, 32], "batch_size": 4},
        "limit": 6,
        "film_clips": 1,
        "mask": {"iterations": 2, "batch_size": 2},
        "method_clips": 1,
    } | changes


def write(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(models, tmp_path_factory) -> Path:
    """The folder of a finished study, with its document."""
    folder = tmp_path_factory.mktemp("study")
    config = write(folder / "study.yaml", settings(models))
    main(["--config", str(config), "--out", str(folder / "out"), "--document", str(folder / "docs" / "study.md")])
    return folder / "out"


def numbers(value):
    """Every number in nested lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.long
def test_a_study_leaves_what_it_promises(study):
    assert pq.read_table(study / "predictions.parquet").num_rows == 3 * 9
    assert pq.read_table(study / "measures.parquet").num_rows == 3 * 6
    assert len(read_results(study)) == 3 * 6
    assert not list(study.glob("*.parts")) and not list(study.rglob(".*"))
    report = json.loads((study / "report.json").read_text(encoding="utf-8"))
    assert all(math.isfinite(number) for number in numbers(report))
    assert report["groups"] == [
        {"name": "I3D", "models": ["i3d", "i3d_again"]},
        {"name": "C-LSTM", "models": ["c_lstm"]},
    ]
    assert report["dataset"] == {"name": "shapes", "split": "validation", "clips": 6}
    for table in report["tables"]:
        rows = list(csv.reader((study / table["csv"]).open(encoding="utf-8")))
        assert len(rows) == 1 + len(table["rows"]) and {len(row) for row in rows} == {len(rows[0])}
        assert [column["key"] for column in table["columns"]] == list(table["rows"][0])
    assert [table["id"] for table in report["tables"]][:5] == ["table_1", "table_2", "table_3", "table_4", "tests"]
    assert [row["model"] for row in by_id(report, "methods")["rows"]] == ["i3d"] * 5 + ["c_lstm"] * 5
    assert {histogram["measure"] for histogram in report["histograms"]} == set(MEASURES)
    page = (study / "index.html").read_text(encoding="utf-8")
    assert "Table 4: which frames the models need" in page and "Are the masks of I3D shorter than" in page
    document = (study.parent / "docs" / "study.md").read_text(encoding="utf-8")
    assert report["findings"][0]["question"] in document and "nan" not in document.lower()
    assert (study.parent / "docs" / "images" / "study_histograms.png").stat().st_size > 0


@pytest.mark.long
def test_a_study_s_numbers_are_those_of_its_records(study):
    report = json.loads((study / "report.json").read_text(encoding="utf-8"))
    rows = {row["model"]: row for row in by_id(report, "table_4")["rows"] if row["class"] == tables.ALL}
    own = {name: [r for r in read_results(study) if r.model == name] for name in ("i3d", "i3d_again", "c_lstm")}
    for name in ("i3d", "i3d_again"):
        cell = rows[name]["mask_length"]
        lengths = [result.mask_length for result in own[name]]
        assert cell["mean"] == pytest.approx(np.mean(lengths)) and cell["std"] == pytest.approx(np.std(lengths))
    pairs = {r.id: [r.mask_length] for r in own["i3d"]}
    for result in own["i3d_again"]:
        pairs[result.id].append(result.mask_length)
    assert rows["I3D"]["mask_length"]["std"] == pytest.approx(np.std([np.mean(pair) for pair in pairs.values()]))
    difference = [r.reverse_score - r.freeze_score for r in own["c_lstm"]]
    assert rows["C-LSTM"]["drop_difference"]["mean"] == pytest.approx(np.mean(difference), abs=1e-6)
    for result in own["c_lstm"]:
        clip = report["clips"]["c_lstm"][result.id]
        assert clip["mask_length"] == result.mask_length
        assert clip["temporal_iou"] == pytest.approx(result.temporal_iou, rel=1e-5)
    table = pq.read_table(study / "predictions.parquet").to_pylist()
    right = [row["label"] == row["forward_predicted"] for row in table if row["model"] == "c_lstm"]
    assert by_id(report, "table_1")["rows"][-1]["top_1"] == pytest.approx(np.mean(right))


def by_id(report: dict, id: str) -> dict:
    return next(table for table in report["tables"] if table["id"] == id)


@pytest.mark.long
def test_films_are_made_of_the_first_clips_by_each_group_s_first_model(study):
    filmed = [(r.model, r.label) for r in read_results(study) if r.webp]
    assert sorted(filmed) == [(model, label) for model in ("c_lstm", "i3d") for label in range(3)]
    assert all((r.reel != "") == (r.webp != "") for r in read_results(study))
    right = [r.id for r in read_results(study) if r.webp and r.correct]  # by both: a figure
    figures = {f"clip_{id}.png" for id in right if right.count(id) == 2} | {"histograms.png"}
    assert {file.name for file in (study / "figures").iterdir()} == figures


@pytest.mark.long
def test_the_manifest_says_what_the_study_was_made_of(study, models):
    made = json.loads((study / "manifest.json").read_text(encoding="utf-8"))
    weights = [model["weights"] for group in made["models"].values() for model in group]
    assert len(set(weights)) == 3 and all(len(digest) == 16 for digest in weights)
    assert made["dataset"]["clips"] == 9 and len(made["dataset"]["fingerprint"]) == 16
    assert made["packages"]["keras"] == keras.__version__ and made["packages"]["python"]
    assert made["config"]["mask"] == {"iterations": 2, "batch_size": 2}


@pytest.mark.long
def test_a_second_start_does_only_what_is_missing(models, tmp_path, monkeypatch):
    explained = []
    original = TemporalMask.__call__

    def watched(self, clips, **options):
        explained.append(len(clips))
        return original(self, clips, **options)

    monkeypatch.setattr(TemporalMask, "__call__", watched)
    groups = {"A": models["i3d"], "B": [models["c_lstm"]]}
    rest = {
        key: value for key, value in settings(models).items() if key not in ("models", "data", "limit", "method_clips")
    }
    data = settings(models)["data"]
    first = tfvid.study.compare(groups, data, tmp_path, **rest, limit=3)
    assert explained == [2, 1, 2, 1] and first["dataset"]["clips"] == 3
    again = tfvid.study.compare(groups, data, tmp_path, **rest, limit=3)
    assert explained == [2, 1, 2, 1] and again == first
    more = tfvid.study.compare(groups, data, tmp_path, **rest, limit=6)
    assert explained == [2, 1, 2, 1, 2, 1, 2, 1] and more["dataset"]["clips"] == 6
    assert all(
        more["clips"][model][id] == clip for model in first["clips"] for id, clip in first["clips"][model].items()
    )

    for changes, message in (
        ({"mask": {"iterations": 3}}, r"other settings \(mask was .*'iterations': 2.*is .*'iterations': 3"),
        ({"target": "true"}, "target was predicted, is true"),
        ({"smallest_drop": 0.1}, "smallest_drop was 0.001, is 0.1"),
    ):
        with pytest.raises(ConfigError, match=message):
            tfvid.study.compare(groups, data, tmp_path, **rest | changes)
    with pytest.raises(ConfigError, match="weights of B/i3d_again was not set"):
        tfvid.study.compare(groups | {"B": models["i3d_again"]}, data, tmp_path, **rest)
    with pytest.raises(ConfigError, match="fingerprint was"):
        tfvid.study.compare(groups, data | {"options": data["options"] | {"validation": 6}}, tmp_path, **rest)


@pytest.mark.long
def test_a_killed_study_goes_on_where_it_was(study, models, tmp_path, forks):
    groups = [{"name": name, "paths": [str(models[name])]} for name in ("i3d", "c_lstm")]
    config = write(tmp_path / "study.yaml", settings(models, models=groups, method_clips=0))
    out = tmp_path / "out"
    for stage in ("predictions", "measures"):
        run = forks.start(SCRIPT, ROOT / "scripts" / "compare.py", "--config", config, "--out", out, cwd=tmp_path)
        try:
            while not list((out / f"{stage}.parts").glob("part-*.parquet")):
                assert run.is_running(), f"it ended without a part of {stage}"
                time.sleep(0.005)
        finally:
            run.kill()
    main(["--config", str(config), "--out", str(out)])
    for name in ("predictions", "measures", "results"):
        kept, whole = (pq.read_table(place / f"{name}.parquet", columns=["model", "id"]) for place in (out, study))
        kept, whole = ([tuple(row.values()) for row in table.to_pylist()] for table in (kept, whole))
        assert sorted(kept) == sorted(key for key in whole if "i3d_again" not in key)
    old, new = (json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in (study, out))
    for model, clips in new["clips"].items():
        for id, clip in clips.items():
            assert clip["mask_length"] == pytest.approx(old["clips"][model][id]["mask_length"], abs=1)


@pytest.mark.long
def test_a_folder_with_other_results_is_refused(models, study, tmp_path):
    (tmp_path / "results.parquet").write_bytes((study / "results.parquet").read_bytes())
    with pytest.raises(ConfigError, match="contains results without a manifest"):
        tfvid.study.run(from_dict(settings(models), "x", StudyConfig), tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json: cannot read this manifest"):
        tfvid.study.run(from_dict(settings(models), "x", StudyConfig), tmp_path)


# Bad input ------------------------------------------------------------------------------------------------------


def odd(tmp_path: Path, which: str) -> Path:
    """A model that fits no other."""
    others = ("Moving something up", "Something disappearing", "Something appearing")
    if which == "size":
        return save(tmp_path / "odd", small(size=(48, 32)))
    if which == "count":
        return save(tmp_path / "odd", small(classes=4), (*CLASSES, "more"))
    if which == "names":
        return save(tmp_path / "odd", small(), others)
    model = small()
    model.layers[-1].bias.assign(np.full(3, np.nan))
    return save(tmp_path / "odd", model)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("size", "'odd' takes clips of 8 frames of 48x32, but 'i3d' takes clips of 8 frames of 32x32"),
        ("count", "'odd' knows 4 classes, but 'i3d' knows 3 classes"),
        ("names", "'odd' knows other classes than 'i3d': 'Something disappearing' in the place of"),
        ("nan", "model 'odd': the model's weight .* has NaN values"),
    ],
)
def test_models_that_do_not_fit_get_one_clear_line(models, tmp_path, which, message):
    groups = [{"name": "A", "paths": [str(models["i3d"])]}, {"name": "B", "paths": [str(odd(tmp_path, which))]}]
    with pytest.raises(ModelError, match=message) as caught:
        tfvid.study.run(from_dict(settings(models, models=groups), "x", StudyConfig), tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"names": ["Something apearing"]}}, "did you mean 'Something appearing'"),
        ({"classes": {"min_f1": 1.0}}, "no class follows the rule: F1 of 1 or more"),
        ({"classes": {"names": ["a"], "min_f1": 0.5}}, "a list of names or a rule, not both"),
        ({"mask": {"iteration": 5}}, "did you mean 'mask.iterations'"),
        ({"split": "test"}, "unknown split 'test'"),
        ({"models": [{"name": "A", "paths": ["x"]}]}, "models must be two or more groups"),
        ({"models": [{"name": "A", "paths": ["x"]}, {"name": "A", "paths": ["y"]}]}, "groups of different names"),
        ({"models": [{"name": "A", "paths": ["x"]}, {"nam": "B", "paths": ["y"]}]}, r"did you mean 'models\[1\].name'"),
        ({"films": ["avi"]}, r"films\[0\]: unknown value 'avi'"),
        ({"limit": 0}, "limit must be 1 or more"),
    ],
)
@pytest.mark.long
def test_mistakes_in_a_configuration_get_one_clear_line(models, study, tmp_path, changes, message):
    with pytest.raises(TfvidError, match=message) as caught:
        tfvid.study.run(from_dict(settings(models, **changes), "x", StudyConfig), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_class_without_a_clip_and_a_clip_without_a_label(models, tmp_path):
    file = tmp_path / "sets.py"
    file.write_text(
        "from tfvid.data.base import Sample, VideoDataset\n"
        "class Some(VideoDataset):\n"
        f"    class_names = {CLASSES!r}\n"
        "    def __init__(self, last=0): self.last = last\n"
        "    def samples(self, split): return [Sample('a', 0), Sample('b', self.last)]\n"
    )
    data = settings(models)["data"] | {"dataset": f"{file}:Some", "options": {}}
    listed = settings(models, data=data, classes={"names": [CLASSES[0], CLASSES[2]]})
    with pytest.raises(ConfigError, match="class 'Something appearing' has no clip in split 'validation'"):
        tfvid.study.run(from_dict(listed, "x", StudyConfig), tmp_path / "out")
    listed = settings(models, data=data | {"options": {"last": -1}})
    with pytest.raises(ConfigError, match="clip b has no label"):
        tfvid.study.run(from_dict(listed, "x", StudyConfig), tmp_path / "out")


def test_the_configurations_that_come_with_it(tmp_path):
    for name in ("shapes", "ssv2", "kth"):
        config = load(ROOT / "configs" / f"study_{name}.yaml", [], StudyConfig)
        assert [group.name for group in config.models] == ["I3D", "C-LSTM"] and config.name == f"study_{name}"
        assert load(write_text(tmp_path / "again.yaml", to_yaml(config)), [], StudyConfig) == config


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Numbers by hand ------------------------------------------------------------------------------------------------


def answers(**groups) -> Answers:
    """Answers of two groups: "A" is always right, "B" says class 0 to everything."""
    labels = np.array([0, 0, 1, 1])
    a = {"label": labels, "forward_predicted": labels, "forward_in_top_5": np.ones(4, bool)}
    b = {"label": labels, "forward_predicted": np.zeros(4, int), "forward_in_top_5": np.array([1, 1, 1, 0], bool)}
    a |= {"reversed_predicted": np.array([1, 1, 0, 1]), "reversed_in_top_5": np.ones(4, bool)}
    b |= {"reversed_predicted": np.zeros(4, int), "reversed_in_top_5": np.array([1, 1, 0, 0], bool)}
    return Answers({"A": ["a"], "B": ["b"]}, ("left", "right"), {"a": a, "b": b})


def test_scores_by_hand():
    a, b = (answers().scores(model, {0: 1, 1: 0}) for model in "ab")
    assert a == {
        "top_1": 1.0,
        "f1": 1.0,
        "f1_top_5": 1.0,
        "reversed_f1": pytest.approx(0.2),  # class 0: none right; class 1: one right of two, three predicted, 2/5
        "reversed_f1_top_5": 1.0,
        "opposite": 0.75,
    }
    # B: class 0 has 2 hits and 2 false alarms, F1 2/3; class 1 none. With its top five: 0 has 1 false alarm, 4/5;
    # 1 has one of two, 2/3.
    assert b["f1"] == pytest.approx(1 / 3) and b["f1_top_5"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert b["opposite"] == 0.5 and answers().scores("b")["opposite"] is None
    assert answers().class_f1() == {"A": [1.0, 1.0], "B": [pytest.approx(2 / 3), 0.0]}


def test_answers_that_are_not_numbers_are_refused():
    logits = np.array([[0.0, 1.0], [np.nan, 0.0]], np.float32)
    given = Predictions(
        ["x", "y"], np.array([0, 1], np.int32), {"forward": logits[:1].repeat(2, 0), "reversed": logits}
    )
    with pytest.raises(ModelError, match="'m': NaN or infinite scores for clip y"):
        predictions.rows("m", given)


def measured(groups: dict[str, list[str]], **values) -> Measured:
    """Clips whose measures are all `values[model]`, a list."""
    count = len(next(iter(values.values())))
    columns = {
        model: {name: np.array(own, float) for name in COLUMNS} | {"full_drop": np.ones(count)}
        for model, own in values.items()
    }
    return Measured(groups, [f"clip {i}" for i in range(count)], np.arange(count) % 2, columns)


def test_a_group_s_clip_is_the_mean_over_the_models_that_have_a_value():
    np.testing.assert_array_equal(
        mean_over([np.array([1, np.nan, np.nan]), np.array([3, 5, np.nan])]), np.array([2, 5, np.nan])
    )
    given = measured({"A": ["a", "b"], "C": ["c"]}, a=[1, 2], b=[3, 6], c=[5, 5])
    assert given.values("A", "loss").tolist() == [2, 4] and given.values("b", "loss").tolist() == [3, 6]


def test_differences_count_the_pairs_of_models_that_agree():
    given = measured({"A": ["a", "b"], "C": ["c"]}, a=[1, 2, 3], b=[9, 9, np.nan], c=[5, 5, 7])
    tested = differences(given, "A", "C", ["mask_length", "drop_ratio"])["mask_length"]
    # Means of the pairs: (5, 5), (5.5, 5), (3, 7).
    assert tested.result.difference == pytest.approx(13.5 / 3 - 17 / 3)
    assert (tested.agreeing, tested.pairs) == (1, 2)  # a is below c, b above
    # Holm over two equal p-values doubles both.
    assert tested.permutation_holm == pytest.approx(min(1, 2 * tested.result.permutation_p))


def test_the_filter_of_the_drop_ratio_can_be_changed():
    given = measured({"A": ["a"]}, a=[0.0, 0.0, 0.0])
    given.columns["a"] |= {
        "original_score": np.array([0.9, 0.9, 0.9]),
        "freeze_score": np.array([0.1, 0.88, 0.9]),
        "reverse_score": np.array([0.5, 0.85, 0.1]),
    }
    np.testing.assert_allclose(filtered_ratio(given, "A", 0.001), [2, 0.4, np.nan])
    np.testing.assert_allclose(filtered_ratio(given, "A", 0.03), [2, np.nan, np.nan])


def test_findings_say_yes_no_or_that_nothing_can_be_said():
    assert [
        verdict(*given) for given in ((-1, 0.01, -1), (1, 0.01, -1), (1, 0.05, 1), (1, None, 1), (None, None, 1))
    ] == [*(True, False, None, None, None)]
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, 30), rng.normal(4, 1, 30)
    given = measured({"A": ["a"], "B": ["b"]}, a=low, b=high)
    tested = differences(given, "A", "B", MEASURES)
    variants = {"blob_size": [tested["blob_size"].result, comparison(low[:2], low[1:3])]}
    found = findings(given, tested, variants, "A", "B")
    assert [finding.holds for finding in found] == [True, False, True, False, True, False, False, False, False]
    assert found[0].question == "Are the masks of A shorter than those of B?"
    assert "over 30 clips; p = 0.012, Hedges' g −" in found[0].answer
    assert found[1].answer == "Fewer: yes; larger: no; more central: yes."
    assert found[3].answer.endswith(
        "1 of 2 settings of the blob detector give the same result (before Holm's correction)."
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([3.0], [5.0], "over 1 clip; no test: "),
        ([3.0, 3.0, 3.0], [3.0, 3.0, 3.0], "no test: .*all pairs are equal"),
        ([np.nan, np.nan], [1.0, 2.0], "No clip has a mask length in both groups"),
    ],
)
def test_samples_that_say_nothing_never_print_nan(a, b, expected, tmp_path):
    given = measured({"A": ["a"], "B": ["b"]}, a=a, b=b)
    config = from_dict({"models": [{"name": "A", "paths": ["x"]}, {"name": "B", "paths": ["y"]}]}, "x", StudyConfig)
    made = manifest.describe(dataclasses.asdict(config), {"A": [], "B": []}, Some(), [])
    report = write_report(
        tmp_path,
        config,
        answers(),
        given,
        chosen=[0],
        reverse_labels=None,
        methods={},
        manifest=made,
        skipped={},
        fps=5.0,
    )
    assert all(math.isfinite(number) for number in numbers(report))
    finding = report["findings"][0]
    assert finding["holds"] is None
    assert re.search(expected, finding["answer"])
    written = [write_document(tmp_path, tmp_path / "docs" / "a.md", "a.yaml"), *tmp_path.rglob("*.csv")]
    texts = [file.read_text(encoding="utf-8") for file in [*written, tmp_path / "index.html"]]
    assert not any(word in text.lower() for text in texts[:-1] for word in ("nan", "inf,", "inf "))
    assert ">nan" not in texts[-1].lower()


class Some:
    class_names = ("left", "right")


def test_published_values_stand_beside_ours_on_the_paper_s_datasets():
    given = measured({"I3D": ["a"], "ConvLSTM": ["b"]}, a=[1.0, 2.0], b=[2.0, 3.0])
    table = tables.measures_table("t", "", "", given, ["mask_length"], answers(), "something")
    rows = {row["model"]: row for row in table.rows if row["class"] == tables.ALL}
    assert (
        rows["I3D"]["mask_length published"] == "6.2 ± 3.3" and rows["ConvLSTM"]["mask_length published"] == "9.9 ± 4.1"
    )
    assert rows["I3D"]["mask_length"] | {"low": 0, "high": 0} == {"mean": 1.5, "std": 0.5, "low": 0, "high": 0, "n": 2}
    columns = [
        column.key for column in tables.measures_table("t", "", "", given, MEASURES, answers(), "shapes").columns
    ]
    assert not any("published" in key for key in columns)
    assert published("kth", "C-LSTM")["blob_count"] == "32.6 ± 15.1" and published("kth", "mine") == {}


def test_a_fingerprint_tells_sets_of_clips_apart(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"12")
    base = [Sample("a", 0, str(file)), Sample("b", 1)]
    first = manifest.fingerprint(["x", "y"], base)
    assert first == manifest.fingerprint(["x", "y"], list(base))
    others = [[base[0]], [base[0], Sample("b", 0)], [base[0], Sample("c", 1)], [base[0], Sample("b", 1, "", 3)]]
    digests = [manifest.fingerprint(["x", "y"], other) for other in others] + [manifest.fingerprint(["x", "z"], base)]
    file.write_bytes(b"123")
    assert len({first, *digests, manifest.fingerprint(["x", "y"], base)}) == 7
    frames = [Sample("a", 0, str(tmp_path))]  # a folder of frames: by the sizes of its files
    before = manifest.fingerprint(["x", "y"], frames)
    file.write_bytes(b"1234")
    assert manifest.fingerprint(["x", "y"], frames) != before


@pytest.mark.long
def test_measures_by_hand(study):
    """The peak of each frame lies in the box, or in its margin, or outside; a map of zeros points nowhere."""
    records = read_results(study)[:2]
    maps = np.zeros((2, 8, 32, 32), np.float32)
    maps[0, :, 8:14, 8:14] = 0.5
    maps[0, :, 10, 10] = 1
    boxes = np.full((2, 8, 1, 4), np.nan, np.float32)
    boxes[:, :3] = [9, 9, 12, 12]  # (top, left, bottom, right): holds the pixel (10, 10)
    boxes[:, 3] = [12, 12, 16, 16]  # 2.1 pixels of margin: it too
    boxes[:, 4] = [20, 20, 30, 30]
    rows = measure_clips(records, maps, {"boxes": boxes}, smallest_drop=0.001).to_pylist()
    assert rows[0]["pointing"] == pytest.approx(4 / 5) and rows[1]["pointing"] == 0
    assert rows[0]["energy_chance"] == pytest.approx((3 * 9 + 16 + 100) / (5 * 1024))
    share = (3 * 9 * 0.5 + 3 * 0.5) / (36 * 0.5 + 0.5), (4 * 0.5) / (36 * 0.5 + 0.5)
    assert rows[0]["energy"] == pytest.approx((share[0] + share[1]) / 5, rel=1e-4)
    assert rows[0]["id"] == records[0].id and rows[0]["mask_length"] == records[0].mask_length
    counts = {name: blob_statistics(maps, changes).count[0] for name, changes in VARIANTS.items()}
    assert rows[0]["blob_count"] == 1 and rows[0]["blob_count (large blobs only)"] == counts["large blobs only"] == 0
    assert rows[1]["blob_size"] is None and rows[1]["blob_count"] == 0
    nothing = measure_clips(records, maps, {}, smallest_drop=0.001).to_pylist()
    assert nothing[0]["pointing"] is None and nothing[0]["energy"] is None


@pytest.mark.long
def test_measures_of_clips_that_a_model_lacks_are_left_out(study):
    groups = {"I3D": ["i3d"], "C-LSTM": ["c_lstm"]}
    ids = [result.id for result in read_results(study) if result.model == "i3d"]
    assert read_measures(study, groups, [*ids, "unreadable"]).ids == ids
    with pytest.raises(DataError, match="none of the 1 clips was explained with every model"):
        read_measures(study, groups, ["unreadable"])


@pytest.mark.long
def test_the_docs_list_every_column_and_table(study):
    text = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")
    report = json.loads((study / "report.json").read_text(encoding="utf-8"))
    names = [*(name for name in COLUMNS if "(" not in name), *(table["id"] for table in report["tables"])]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_three_groups_are_compared_in_pairs(tmp_path):
    rng = np.random.default_rng(1)
    groups = {"A": ["a", "a2"], "B": ["b"], "C": ["c"]}
    given = measured(groups, **{name: rng.random(6) for name in ("a", "a2", "b", "c")})
    both = answers().columns
    known = Answers(groups, ("left", "right"), {"a": both["a"], "a2": both["b"], "b": both["b"], "c": both["a"]})
    paths = [{"name": name, "paths": ["x"] * len(own)} for name, own in groups.items()]
    config = from_dict({"models": paths}, "x", StudyConfig)
    made = manifest.describe(dataclasses.asdict(config), dict.fromkeys(groups, []), Some(), [])
    records = [make("1", "a", damage="ends early"), make("2", "a", still=True), make("2", "b", still=True)]
    ResultStore(tmp_path).append([*records, make("3", "a")])
    report = write_report(
        tmp_path, config, known, given, chosen=[0], reverse_labels=None, methods={}, manifest=made, skipped={}, fps=5.0
    )
    pairs = [row["pair"] for row in by_id(report, "tests")["rows"]]
    assert pairs == [pair for pair in ("A − B", "A − C", "B − C") for _ in MEASURES]
    scores = {row["model"]: row["f1"] for row in by_id(report, "table_1")["rows"]}
    assert list(scores) == ["A", "a", "a2", "B", "C"]
    assert scores["A"]["mean"] == pytest.approx((1 + 1 / 3) / 2) and scores["A"]["n"] == 2
    assert report["notes"][-2:] == [
        "Of the clips explained, 1 clip comes from a damaged file: 1 (ends early).",
        "1 clip has only identical frames, so that a mask says nothing about time: 2.",
    ]
