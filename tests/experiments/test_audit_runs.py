"""Audits of small models, from clips to the page and to ``tfvid check``."""

import re

import numpy as np
import pytest
from flashes import FLASHES, colour_model, motion_model, read_json

import tfvid
from tfvid.cli.audit import main as audit_command
from tfvid.cli.audit_options import kind_of_folder
from tfvid.cli.check import main as check_command
from tfvid.core.errors import ConfigError
from tfvid.data.pipeline.make import make_dataset
from tfvid.experiments.audit import predictions
from tfvid.experiments.audit.quantities import QUANTITIES
from tfvid.models.loading import load_model


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The audit of a model that needs motion, and its folder."""
    folder = tmp_path_factory.mktemp("audit")
    return tfvid.audit(motion_model(folder), FLASHES, folder / "out", explain=4, batch_size=4, workers=1)


def test_the_quantities_of_a_model_that_needs_motion(found):
    """As it is, the last frame is 120 / 255 brighter than the first; with one frame repeated, both are equal."""
    score = 1 / (1 + np.exp(-2 * 2 * 120 / 255))  # two logits, plus and minus twice the difference
    values = found.quantities
    assert set(values) == set(QUANTITIES)
    assert (values["clips"], values["top1"], values["top1_reversed"]) == (6, 1.0, 0.0)
    assert values["motion_share"] == pytest.approx(1 - 0.5 / score, abs=0.01)
    assert values["top1_grey"] == values["top1_shifted"] == values["top1_half_speed"] == 1.0
    assert values["ece"] == pytest.approx(1 - score, abs=0.01)
    assert values["explained"] == 4 and values["stability_noise"] == pytest.approx(1)
    assert values["border_energy"] == pytest.approx(7 / 16) and values["box_energy"] == pytest.approx(1 / 4)


def test_the_files_of_an_audit(found):
    summary = read_json(found.folder / "audit.json")
    assert summary["quantities"]["top1"] == 1.0 and summary["class_names"] == ["brighter", "darker"]
    assert list(summary["quantities"]) == list(QUANTITIES)
    assert set(summary["classes"]) == {"brighter", "darker"} and summary["classes"]["darker"]["clips"] == 3
    rows = predictions.store(found.folder).read().to_pylist()
    assert len(rows) == 6 * 13 and {len(row["probabilities"]) for row in rows} == {2}
    assert (found.folder / "tables" / "interventions.csv").is_file()


def test_the_page_is_one_file(found):
    page = found.page.read_text(encoding="utf-8")
    assert "<script" not in page and "motion share" in page and "played backwards" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in re.findall(r'href="(#[^"]+)"', page)} <= set(ids)


def test_a_second_run_asks_nothing_again(found, monkeypatch):
    def asked(*_):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(predictions.Asker, "probabilities", asked)
    monkeypatch.setattr("tfvid.experiments.audit.explanations.Explaining.of_batch", asked)
    again = tfvid.audit(found.folder.parent / "motion", FLASHES, found.folder, explain=4, workers=1)
    assert again.quantities == found.quantities


def test_a_folder_of_another_model_is_refused(found, tmp_path):
    with pytest.raises(ConfigError, match="the results in this folder have other settings"):
        tfvid.audit(colour_model(tmp_path), FLASHES, found.folder, explain=0)


def test_a_model_from_python_without_explanations(found, tmp_path):
    model = load_model(found.folder.parent / "motion")
    again = tfvid.audit(
        model, make_dataset(FLASHES, count=4), tmp_path, explain=0, interventions=["reversed"], workers=1
    )
    assert (again.quantities["top1"], again.quantities["top1_reversed"], again.quantities["clips"]) == (1.0, 0.0, 4)
    assert again.quantities["top1_grey"] is None and again.quantities["mask_length"] is None


def test_settings_are_checked(tmp_path):
    with pytest.raises(tfvid.TfvidError, match="unknown intervention 'reverse'; did you mean 'reversed'"):
        tfvid.audit("model", FLASHES, tmp_path, interventions=["reverse"])
    with pytest.raises(ConfigError, match="explain must be a whole number, 0 or more"):
        tfvid.audit("model", FLASHES, tmp_path, explain=-1)


def test_kinds_of_folders(tmp_path):
    assert kind_of_folder(tmp_path) == "folder"
    (tmp_path / "validation.csv").touch()
    assert kind_of_folder(tmp_path) == "csv"
    (tmp_path / "sources.csv").touch()
    assert kind_of_folder(tmp_path) == "fight_surv"


@pytest.mark.long
def test_check_fails_on_a_model_that_ignores_motion(tmp_path, capsys):
    """Both models are always right; only one of them needs motion."""
    old, new = motion_model(tmp_path), colour_model(tmp_path)
    options = ["--data", FLASHES, "--explain", "2", "data.workers=1"]
    audit_command(["--model", str(old), "--out", str(tmp_path / "old"), *options])
    assert "Does the model need motion?" in capsys.readouterr().out
    check = [str(tmp_path / "old"), str(new), "--out", str(tmp_path / "check"), *options]
    check_command([*check, "--fail-if", "top1 < 0.80"])
    assert "passed: top1 is 1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        check_command([*check, "--fail-if", "top1 < 0.80", "--fail-if", "motion_share < 0.3"])
    assert end.value.code == 1
    assert "FAILED: motion_share is " in capsys.readouterr().out
    assert "motion\\_share" in (tmp_path / "check" / "check.md").read_text(encoding="utf-8")
    assert 'failures="1"' in (tmp_path / "check" / "check.xml").read_text(encoding="utf-8")


def test_check_says_what_is_missing(tmp_path):
    with pytest.raises(ConfigError, match="expected two models or folders of audits"):
        check_command([])
    with pytest.raises(ConfigError, match="expected a condition"):
        check_command(["old", "new"])
    with pytest.raises(ConfigError, match="is no folder of an audit"):
        check_command([str(tmp_path), str(tmp_path), "--fail-if", "top1 < 1"])


def test_check_lists_the_quantities(capsys):
    check_command(["--list"])
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"top1", "top1_reversed", "motion_share", "mask_iou_with_old"} <= set(names)
