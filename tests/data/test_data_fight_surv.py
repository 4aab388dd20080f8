"""Fights: folds of whole sources, and the sources that have clips of both classes."""

from collections import Counter

import pytest
from small_videos import write_video

from tfvid.core.errors import DataError
from tfvid.data.sources.fight_surv import FightSurv, folds_of
from tfvid.testing import check_dataset


def write(root, sources: dict[str, str]):
    """The clips of each source by their labels: "ffn" is two of fights and one of none."""
    lines, kinds = ["path,label,source"], {"f": "fight", "n": "noFight"}
    for source, labels in sources.items():
        lines += [f"{kinds[k]}/{source}_{i}.mp4,{kinds[k]},{source}" for i, k in enumerate(labels)]
    (root / "sources.csv").write_text("\n".join(lines) + "\n")
    return root


TEN = {f"s{number}": "ffnn" for number in range(10)} | {"only": "nnnn"}


def test_each_source_is_held_out_once(tmp_path):
    write(tmp_path, TEN)
    held_out: Counter = Counter()
    for fold in range(5):
        dataset = FightSurv(tmp_path, fold=fold)
        sources = {split: {dataset.source(sample) for sample in dataset.samples(split)} for split in dataset.splits}
        assert not sources["train"] & sources["validation"]
        assert sources["train"] | sources["validation"] == set(TEN)
        held_out.update(sources["validation"])
        labels = Counter(sample.label for sample in dataset.samples("validation"))
        assert labels[0] == 4 and 4 <= labels[1] <= 8
    assert held_out == Counter([*TEN])


def test_sources_of_both_classes_keep_their_folds(tmp_path):
    write(tmp_path, TEN)
    for fold in range(5):
        every, both = FightSurv(tmp_path, fold=fold), FightSurv(tmp_path, fold=fold, sources="both")
        for split in every.splits:
            expected = [sample for sample in every.samples(split) if every.source(sample) != "only"]
            assert both.samples(split) == expected


def test_folds_by_hand():
    """Of four sources with one clip each, every fold has one; a large source stays whole."""
    assert sorted(folds_of(list("aaaa"), list("wxyz"), 4)) == [0, 1, 2, 3]
    folds = folds_of(["a"] * 10, [0] * 6 + [1, 2, 3, 4], 2)
    assert len(set(folds[:6])) == 1 and set(folds) == {0, 1}


@pytest.mark.parametrize(
    ("options", "detail"),
    [({"fold": 5}, "fold must be 0 to 4, got 5"), ({"sources": "one"}, "sources 'one'")],
)
def test_options_that_do_not_exist(tmp_path, options, detail):
    with pytest.raises(DataError, match=detail):
        FightSurv(write(tmp_path, TEN), **options)


def test_other_classes_are_refused(tmp_path):
    write(tmp_path, TEN)
    file = tmp_path / "sources.csv"
    file.write_text(file.read_text().replace(",noFight,", ",peace,"))
    with pytest.raises(DataError, match=r"sources.csv, line \d+: .*'peace'"):
        FightSurv(tmp_path).samples("train")


def test_the_contract(tmp_path):
    sources = {f"s{number}": "fn" for number in range(5)}
    write(tmp_path, sources)
    for source in sources:
        write_video(tmp_path / "fight" / f"{source}_0.mp4", 4)
        write_video(tmp_path / "noFight" / f"{source}_1.mp4", 4)
    check_dataset(FightSurv(tmp_path), reads=1)


def test_the_published_clips(shared_data):
    dataset = FightSurv(shared_data / "fight_surv")
    train, validation = dataset.samples("train"), dataset.samples("validation")
    assert (len(train), len(validation)) == (197, 50)
    assert Counter(sample.label for sample in train + validation) == {0: 117, 1: 130}
    both = FightSurv(shared_data / "fight_surv", sources="both")
    assert len(both.samples("train") + both.samples("validation")) == 207
    clip = dataset.read(validation[0], 4, (24, 32))
    assert clip.frames.shape == (4, 24, 32, 3) and clip.frames.std() > 10
