"""A good file of every kind that tfvid parses, and how tfvid reads it: what `broken_files.broken` is let loose on.

file, read = KINDS["labels JSON"](folder)
"""

import json
import re
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tfvid.config import AttributionConfig, RunConfig, StudyConfig, load, to_yaml
from tfvid.data.sources.csv_list import CSVList
from tfvid.data.sources.epic_kitchens import EpicKitchens
from tfvid.data.sources.kth import KTH
from tfvid.data.sources.something import SomethingSomething
from tfvid.data.sources.ucf101 import UCF101
from tfvid.data.sources.ucf101_boxes import read_boxes
from tfvid.models.card import ModelCard, read_card

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def _all_samples(dataset):
    return [dataset.samples(split) for split in dataset.splits]


def _something(folder: Path, broken: str):
    files = {
        "labels": {"Pushing something from left to right": "1", "Holding something": "0"},
        "train": [
            {"id": "12", "label": "holding a pen", "template": "Holding [something]", "placeholders": ["a pen"]},
            {"id": "7", "label": "pushing it", "template": "Pushing [something] from left to right"},
        ],
    }
    for name, value in files.items():
        (folder / f"something-something-v2-{name}.json").write_text(json.dumps(value))

    def read():
        dataset = SomethingSomething(folder)
        return _all_samples(dataset), dataset.flip_labels

    return folder / f"something-something-v2-{broken}.json", read


def _kth(folder: Path):
    file = folder / "00sequences.txt"
    file.write_text(
        "KTH: lists of frames\n\nperson01_boxing_d1\t\tframes\t1-95, 96-185, 186-245, 246-360\n"
        "person01_boxing_d2   frames  1-106, 107-195\nperson13_handclapping_d3 *missing*\n"
    )
    return file, lambda: _all_samples(KTH(folder))


def _csv(folder: Path):
    file = folder / "train.csv"
    file.write_text('path,label,start,stop,remark\r\na.mp4,1,5,20,x\r\n"b, c.mp4",2,20,,y\r\na.mp4,10,,,\r\n')
    return file, lambda: _all_samples(CSVList(folder))


def _one_csv(folder: Path):
    file = folder / "clips.csv"
    file.write_text(
        "path,label,start_seconds,stop_seconds,fps,group\na_1.mp4,x,0.5,2,25,g1\na_2.mp4,x,1.5,,,g1\nb_1.mp4,y,,,,g2\n"
        "b_2.mp4,y,,3.25,29.97,g3\n"
    )
    return file, lambda: _all_samples(CSVList(folder))


EPIC = {
    "EPIC_100_train.csv": (
        "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame,verb_class,"
        "noun_class\nP01_01_0,P01,P01_01,00:00:00.20,00:00:00.60,6,15,1,1\n"
        "P01_01_1,P01,P01_01,00:00:00.40,00:00:00.80,11,20,0,0\n"
    ),
    "EPIC_100_verb_classes.csv": "id,key,instances,category\n0,take,\"['take', 'grab']\",retrieve\n1,open,['open'],x\n",
    "EPIC_100_noun_classes.csv": "id,key,instances,category\n0,plate,['plate'],crockery\n1,door,['door'],room\n",
    "EPIC_100_video_info.csv": "video_id,duration,fps,resolution\nP01_01,1.2,25.0,960x540\n",
    "boxes.csv": (
        "noun_class,noun,participant_id,video_id,frame,bounding_boxes\n"
        '12,plate,P01,P01_01,13,"[(54, 192, 108, 384), (0, 0, 54, 96)]"\n9,door,P01,P01_01,13,[]\n'
    ),
}


def _epic(folder: Path, broken: str):
    for name, text in EPIC.items():
        (folder / name).write_text(text)
    return folder / broken, lambda: _all_samples(EpicKitchens(folder, boxes="boxes.csv"))


def _ucf(folder: Path, broken: str):
    lists = folder / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Basketball\n")
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g08_c01.avi 1\nBasketball/v_Basketball_g08_c01.avi 2\n")
    return lists / broken, lambda: UCF101(folder).samples("train") if broken != "classInd.txt" else UCF101(folder)


def _viper(folder: Path):
    (folder / "Basketball").mkdir()
    file = folder / "Basketball" / "v_Basketball_g01_c01.xgtf"
    file.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><viper xmlns="http://lamp.cfar.umd.edu/viper#" '
        'xmlns:data="http://lamp.cfar.umd.edu/viperdata#"><config/><data><sourcefile filename="a.avi">'
        '<object framespan="1:9" id="0" name="PERSON"><attribute name="Location">'
        '<data:bbox framespan="1:9" height="9" width="9" x="1" y="1"/></attribute><attribute name="Basketball">'
        '<data:bvalue framespan="1:9" value="true"/></attribute></object></sourcefile></data></viper>'
    )
    return file, lambda: read_boxes(folder)


def _matlab(folder: Path):
    tubes = np.zeros((1, 1), [(field, object) for field in ("ef", "sf", "class", "boxes")])
    tubes[0, 0] = (2, 1, 1, np.ones((2, 4)))
    annot = np.zeros((1, 2), [("num_imgs", object), ("name", object), ("tubes", object)])
    for place in range(2):
        annot[0, place] = (20, f"Basketball/v_Basketball_g0{place}_c01", tubes)
    savemat(folder / "annot.mat", {"annot": annot})
    return folder / "annot.mat", lambda: read_boxes(folder / "annot.mat")


def _config(folder: Path, name: str, kind: type):
    file = folder / f"{name}.yaml"
    file.write_text(re.sub("#.*", "", (CONFIGS / file.name).read_text(encoding="utf-8")), encoding="utf-8")
    return file, lambda: to_yaml(load(file, (), kind))


def _card(folder: Path):
    file = folder / "card.json"
    card = ModelCard("tiny", ("a", "b"), 4, (8, 8), "shapes", "conv_lstm_1", {0: 1, 1: 0}, {"top_1": 0.5})
    file.write_text(card.to_json())
    return file, lambda: read_card(file).to_json()


def _manifest(folder: Path):
    from tfvid.data.records import Records, write_records
    from tfvid.data.sources.shapes import MovingShapes

    write_records(MovingShapes(train=3), "train", folder, num_frames=4, size=(16, 24))
    return folder / "train" / "manifest.json", lambda: _all_samples(Records(folder))


def _results(folder: Path):
    from toy_results import make

    from tfvid.results.result_store import ResultStore, read_results

    store = ResultStore(folder)
    store.append([make(id) for id in "abc"])
    store.merge()
    return store.merged, lambda: read_results(folder)


def _model(folder: Path):
    import keras

    from tfvid.models.loading import load_model

    model = keras.Sequential([keras.Input((2, 4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(folder / "net.keras")
    return folder / "net.keras", lambda: load_model(folder / "net.keras")


KINDS = {
    "Something-something labels": lambda folder: _something(folder, "labels"),
    "Something-something records": lambda folder: _something(folder, "train"),
    "KTH 00sequences.txt": _kth,
    "CSV list": _csv,
    "CSV list of all splits": _one_csv,
    **{f"EPIC-KITCHENS {name}": lambda folder, name=name: _epic(folder, name) for name in EPIC},
    "UCF101 classInd.txt": lambda folder: _ucf(folder, "classInd.txt"),
    "UCF101 trainlist01.txt": lambda folder: _ucf(folder, "trainlist01.txt"),
    "UCF101-24 ViPER XML": _viper,
    "UCF101-24 MATLAB": _matlab,
    "YAML of a run": lambda folder: _config(folder, "i3d_ssv2", RunConfig),
    "YAML of a study": lambda folder: _config(folder, "study_ssv2", StudyConfig),
    "YAML of a benchmark": lambda folder: _config(folder, "attribution_bench", AttributionConfig),
    "model card": _card,
    "manifest of shards": _manifest,
    "Parquet results": _results,
    "Keras model": _model,
}
SLOW = {"UCF101-24 MATLAB"}  # a process each
