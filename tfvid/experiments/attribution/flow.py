"""The flow of the benchmark: all methods on each network, the sanity checks, and the report. Resumable."""

from dataclasses import asdict
from pathlib import Path

from tfvid.config import AttributionConfig
from tfvid.core.errors import ConfigError
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline import make_dataset
from tfvid.experiments import manifest
from tfvid.experiments.attribution import records
from tfvid.experiments.attribution.judge import Judge, text_batches
from tfvid.experiments.attribution.measures import find_measures
from tfvid.experiments.attribution.methods import check_options
from tfvid.experiments.attribution.report import write_report
from tfvid.experiments.attribution.sanity import Sanity
from tfvid.experiments.clips import Clips
from tfvid.experiments.groups import load_groups
from tfvid.models.loaded import Loaded


def run(config: AttributionConfig, out) -> dict:
    """Runs the benchmark of `config` in the folder `out`. Existing results in `out` are not computed again.

    If a method does not support a network, its row in the table states the reason.

    Args:
      config: of the benchmark.
      out: the benchmark's folder.

    Returns:
      The report, as in ``report.json``; see `tfvid.experiments.attribution.report`.

    Raises:
      TfvidError: a method, an option or a measure is unknown; a network does not know the classes of the clips; `out`
        holds the results of another benchmark; or a file cannot be read.
    """
    out = Path(out)
    for method in config.methods:
        check_options(method)
    dataset = make_dataset(config.data)
    measures = find_measures(config.measures, dataset.max_boxes)
    samples = choose(dataset, config.split, list(config.classes), config.limit)
    networks = load_groups(config.networks, config.data.num_frames, config.data.size)
    clips = {name: _clips(network, dataset, samples, config) for name, (network,) in networks.items()}
    made_of = manifest.describe(asdict(config), networks, dataset, samples)
    manifest.keep(out, made_of, decisive=_decisive, files=records.store(out).files())

    weights = {name: network["weights"] for name, (network,) in made_of["models"].items()}
    methods = records.with_baselines(config.methods)
    made_by, refused = records.made_by(methods, config.measures, weights), {}
    checked = [method for method in config.methods if method.row in config.sanity_methods]
    sanity = Sanity(out, checked, made_by, num_clips=config.sanity_clips, seed=config.seed)
    for name, of_network in clips.items():
        judge = Judge(name, of_network, methods, measures, made_by, out, target=config.target, seed=config.seed)
        refused[name] = judge.run()
        sanity.check(name, of_network, refused[name])
    records.store(out).merge()
    first = {name: _first(of_network) for name, of_network in clips.items()}
    return write_report(
        out,
        config,
        measures,
        records.read(out, made_by, with_maps=True),
        clips=[sample.id for sample in samples],
        refused=refused,
        sanity=sanity.rows,
        first=first,
        manifest=made_of,
    )


def _clips(network: Loaded, dataset: VideoDataset, samples: list[Sample], config: AttributionConfig) -> Clips:
    """Returns the clips of a network, with the network's labels."""
    wanted = {sample.label for sample in samples}
    if config.target == "true" and min(wanted) < 0:
        raise ConfigError(f"target: split {config.split!r} has clips without a label; explain the predicted class")
    to_model, _ = network.labels(dataset.class_names, wanted - {-1})
    return Clips(network, dataset, config.split, samples, to_model, config.data)


def _first(clips: Clips) -> dict:
    """Returns the first clip as a batch of one."""
    return {key: value[:1] for key, value in next(text_batches(clips, limit=1)).items()}


def _decisive(made_of: dict) -> dict:
    """Returns the entries that must not change between runs in one folder.

    Networks, methods and measures may change, because each record has a digest of them.
    """
    config = made_of["config"]
    return (
        {"dataset's fingerprint": made_of["dataset"]["fingerprint"]}
        | {key: config[key] for key in ("split", "target", "seed")}
        | {f"data.{key}": config["data"][key] for key in manifest.DATA_SETTINGS}
    )
