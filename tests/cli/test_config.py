"""Configurations: what is read is what is written, and what is wrong is refused in one line."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.config import RunConfig, StudyConfig, TrainConfig, from_dict, load, to_yaml
from tfvid.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
OF_MANY = ("study_", "attribution_")  # of several models, not of a run
CONFIGS = sorted(file for file in (ROOT / "configs").glob("*.yaml") if not file.stem.startswith(OF_MANY))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_run.yaml"
    path.write_text(
        "data: {size: [120, 160]}\ntrain:\n  learning_rate: 1e-3\n  epochs: 7\nmodel: {options: {width: .5}}\n"
    )
    return path


def test_values_come_from_file_then_overrides_then_defaults(file):
    config = load(file, ["train.epochs=3", "model.options.dropout=5e-1", "data.augment.flip=true", "name=other"])
    assert config.data.size == (120, 160)
    assert config.train.learning_rate == 0.001
    assert config.train.epochs == 3
    assert config.model.options == {"width": 0.5, "dropout": 0.5}
    assert config.data.augment.flip is True
    assert config.name == "other"
    assert config.train.optimizer == TrainConfig().optimizer


def test_name_is_the_files_own_unless_given(file):
    assert load(file).name == "my_run"


def test_yaml_round_trip(file, tmp_path):
    config = load(file, ["explain.mask.learning_rate=2e-1", "data.root=/a b/ü", "train.mixed_precision=true"])
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(to_yaml(config), encoding="utf-8")
    assert load(resolved) == config


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(1e-8, 10, allow_nan=False),
    epochs=st.integers(1, 10**6),
    size=st.tuples(st.integers(1, 999), st.integers(1, 999)),
    root=st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)),
    mixed=st.sampled_from(["auto", True, False]),
)
def test_any_configuration_survives_yaml(tmp_path_factory, rate, epochs, size, root, mixed):
    train = dataclasses.replace(TrainConfig(), learning_rate=rate, epochs=epochs, mixed_precision=mixed)
    data = dataclasses.replace(RunConfig().data, size=size, root=root)
    config = dataclasses.replace(RunConfig(), train=train, data=data)
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load(path) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epoch=3", "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("trian.epochs=3", "unknown key 'trian'; did you mean 'train'?"),
        ("data.augment.flp=true", "did you mean 'data.augment.flip'?"),
        ("train.epochs=many", "train.epochs must be a whole number, got 'many'"),
        ("train.epochs=2.5", "train.epochs must be a whole number, got 2.5"),
        ("train.epochs=true", "train.epochs must be a whole number, got True"),
        ("train.epochs=0", "train.epochs must be 1 or more, got 0"),
        ("train.epochs=null", "train.epochs must be a whole number, got None"),
        ("train.learning_rate=.nan", "train.learning_rate must be a finite number"),
        ("train.optimizer=adm", "did you mean 'adam'? valid: adam, sgd"),
        ("train.mixed_precision=1", "train.mixed_precision: unknown value '1'; valid: auto, true, false"),
        ("train.momentum=0.5", "train.momentum must be 0 unless sgd"),
        ("train.warmup_epochs=1", "train.warmup_epochs must be 0 unless schedule is cosine"),
        ("train.min_learning_rate=1", "train.min_learning_rate must be in [0, learning_rate]"),
        ("data.size=112", "data.size must be a list of 2 values, got 112"),
        ("data.size=[112, 0]", "data.size must be [height, width] of 1 pixel or more"),
        ("data.options=[1]", "data.options must be a mapping"),
        ("data.augment.min_scale=0", "data.augment.min_scale must be in (0, 1]"),
        ("model=i3d", "model must be a mapping of keys to values, got 'i3d'"),
        ("name=../up", "name must be letters, digits"),
        ("train.epochs", "an override must be key=value"),
        ("train={", "not valid YAML"),
    ],
)
def test_one_line_says_what_is_wrong(file, override, said):
    with pytest.raises(ConfigError) as caught:
        load(file, [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_is_named(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("train: {epoch: 3}")
    with pytest.raises(ConfigError, match=r"bad\.yaml: unknown key 'train\.epoch'"):
        load(path)
    path.write_text("seed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: .*'seed' is given twice"):
        load(path)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: a configuration must be a mapping"):
        load(path)
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=f"{tmp_path}: this is a folder; expected a configuration as a YAML file"):
        load(tmp_path)


def test_yaml_cannot_run_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:os.system ['touch {tmp_path}/owned']")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(path)
    assert not (tmp_path / "owned").exists()


def test_overrides_that_belong_together_are_checked_together(file):
    config = load(file, ["train.momentum=0.2", "train.optimizer=sgd"])
    assert (config.train.optimizer, config.train.momentum) == ("sgd", 0.2)


def test_reading_a_configuration_does_not_load_tensorflow():
    code = "import sys, tfvid.config; sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_in_the_repository_builds_its_model(path):
    """At a small size, so that this takes a second; sizes and options the model refuses are still found."""
    from tfvid.models.build import build_model

    config = load(path)
    small = {"i3d": {"width": 0.1}, "conv_lstm": {"filters": 2}}.get(config.model.name, {})
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, num_frames=4, size=(64, 64)),
        model=dataclasses.replace(config.model, options=config.model.options | small),
    )
    model = build_model(config.model.name, 5, config.data.num_frames, config.data.size, config.model.options)
    assert model.input_shape == (None, 4, 64, 64, 3)
    assert model.output_shape == (None, 5)


def test_the_papers_settings():
    """Table 5 and 6 of Mänttäri et al. 2020, as literals."""
    paper = {
        # optimizer, momentum, dropout, weight decay, epochs, frames, size
        "i3d_ssv2": ("adam", 0.0, 0.5, 0.0, 13, 16, (224, 224)),
        "i3d_kth": ("adam", 0.0, 0.7, 5e-5, 30, 32, (120, 160)),
        "conv_lstm_ssv2": ("sgd", 0.2, 0.0, 0.0, 105, 16, (224, 224)),
        "conv_lstm_kth": ("sgd", 0.2, 0.5, 1e-4, 21, 32, (120, 160)),
    }
    masks = {"ssv2": (0.01, 0.02), "kth": (0.02, 0.04)}
    for name, expected in paper.items():
        c = load(ROOT / "configs" / f"{name}.yaml")
        t, dropout = c.train, c.model.options["dropout"]
        assert (t.optimizer, t.momentum, dropout, t.weight_decay, t.epochs, c.data.num_frames, c.data.size) == expected
        weights = c.explain.mask
        assert (weights["length_weight"], weights["variation_weight"]) == masks[name.split("_")[-1]]
        assert c.train.schedule == "plateau"


def test_from_dict_names_its_source():
    with pytest.raises(ConfigError, match="demo: unknown key 'sed'"):
        from_dict({"sed": 1}, "demo")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        (
            "i3d_kth",
            StudyConfig,
            r"expected a configuration of a study \(compare.py\), got one of a run \(train.py",
        ),
        ("study_shapes", RunConfig, r"expected a configuration of a run .*, got one of a study"),
        ("attribution_bench", RunConfig, r"got one of a benchmark of attribution methods"),
    ],
)
def test_a_configuration_of_another_command(name, kind, said):
    with pytest.raises(ConfigError, match=f"{name}.yaml: .*{said}"):
        load(ROOT / "configs" / f"{name}.yaml", (), kind)
