"""Configurations by strangers: YAML that runs nothing, and is refused in one line however it is wrong."""

import pytest
from broken_files import refused_or_read

from tfvid.config import AttributionConfig, RunConfig, StudyConfig, load, to_yaml
from tfvid.core.errors import ConfigError

# Nine names, each for a list of nine of the one before: 9**9 values.
ALIASES = "data:\n  options:\n    a: &a [1]\n" + "".join(
    f"    {new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)

REFUSED = {
    "code": ("name: !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
    "a name of Python's": ("name: !!python/name:os.system ''", "could not determine a constructor"),
    "an object": ("name: !!python/object/new:os.system ['touch ran']", "could not determine a constructor"),
    "aliases of aliases": (ALIASES, "expected at most 10000 values"),
    "a value in itself": ("data: {options: &a {x: *a}}", "one within itself"),
    "brackets without end": ("[" * 5000, "too many nested brackets"),
    "very many keys": ("".join(f"key{number}: 1\n" for number in range(20_000)), "up to 200000 characters"),
    "many values": (f"data: {{options: {{a: [{'1,' * 20_000}]}}}}", "expected at most 10000 values"),
    "no mapping where one is said to be": ("!!map abc", "expected a mapping node"),
    "no number where one is said to be": ("name: !!int x", "invalid literal"),
    "a day that is not": ("name: 2001-99-99", "month must be in 1..12"),
    "a huge number": (f"data: {{seed: {'9' * 30}}}", "numbers below 2**63"),
    "a number too long to be written": (f"data: {{seed: 0x{'F' * 5000}}}", "numbers below 2**63"),
    "a number too long to be read": (f"data: {{seed: {'9' * 5000}}}", "Exceeds the limit"),
    "infinity": ("train: {learning_rate: 1e999}", "must be a finite number"),
    "a path with a zero byte": ('data: {root: "a\\0b"}', "text without NUL"),
    "half a character": ('data: {root: "a\\ud800b"}', "lone surrogates"),
    "a terminal's escape sequence": ('"\\x1b]0;title\\x07": 1', r"unknown key '\x1b]0;title\x07'"),
    "a key that is a list": ("? [a]\n: b", "unhashable key"),
    "a key given twice": ("train: {epochs: 1, epochs: 2}", "key 'epochs' is given twice"),
    "a name that is a path": ("name: ../../etc/cron.d/x", "name must be letters"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    text, said = REFUSED[what]
    file = tmp_path / "run.yaml"
    file.write_text(text)
    assert said in refused_or_read(lambda: load(file), file)
    assert list(tmp_path.iterdir()) == [file]  # nothing has run


@pytest.mark.parametrize("kind", [RunConfig, StudyConfig, AttributionConfig])
def test_a_long_value_is_shown_in_short(tmp_path, kind):
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {['x' * 500] * 50}")
    assert len(refused_or_read(lambda: load(file, kind=kind), file)) < 800


def test_a_group_without_its_models_is_named(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("models: [{name: a}, {name: b}]")
    assert "models[0].paths must be given" in refused_or_read(lambda: load(file, kind=StudyConfig), file)


def test_values_may_share_a_name(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("train: &t {epochs: 4}\ndata: {options: {a: &a [1, 2], b: *a, <<: {c: 3, a: 4}}}")
    config = load(file)
    assert config.data.options == {"c": 3, "a": [1, 2], "b": [1, 2]}
    file.write_text(to_yaml(config))
    assert load(file) == config


def test_an_option_of_the_command_line_is_parsed_alike():
    from tfvid.cli.prepare import _option

    assert _option("folds=[1, 2]") == ("folds", [1, 2])
    with pytest.raises(ConfigError, match="--option 'day=2001-99-99': not valid YAML"):
        _option("day=2001-99-99")
