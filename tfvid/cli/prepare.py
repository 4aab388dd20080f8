"""``tfvid prepare``: decodes and resizes the clips of a data set once, and writes them as TFRecord shards."""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfvid.cli.engine_options import add_engine_options, engine_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import load, parse
from tfvid.core.errors import ConfigError
from tfvid.core.stopping import stoppable
from tfvid.data.settings import DataConfig


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, writes the shards of each split, and prints how many clips were skipped."""
    arguments = _parser().parse_args(argv)
    if arguments.shard_size < 1:
        raise ConfigError(f"shard-size must be 1 or more, got {arguments.shard_size}")
    if not 1 <= arguments.quality <= 100:
        raise ConfigError(f"quality must be in 1 to 100, got {arguments.quality}")
    config = _data_config(arguments)
    check_folder(arguments.out)
    load_tensorflow()

    from tfvid.data.pipeline import make_dataset

    dataset = make_dataset(config)
    splits = arguments.split or [split for split in dataset.splits if split != "test"]
    for split in splits:
        _prepare(dataset, split, config, arguments)
    print(f"next: train with data.records={arguments.out}")


def _prepare(dataset, split: str, config: DataConfig, arguments: argparse.Namespace) -> None:
    """Writes the shards of one split, and prints the outcome."""
    from tfvid.data.decode.worker import one_a_core
    from tfvid.data.pipeline import make_dataset
    from tfvid.data.records import write_records

    with _progress(split) as progress:
        manifest = write_records(
            dataset,
            split,
            arguments.out,
            num_frames=config.num_frames,
            size=config.size,
            shard_size=arguments.shard_size,
            quality=arguments.quality,
            workers=config.workers or one_a_core(),
            time_limit=config.time_limit,
            max_bad_share=config.max_bad_share,
            max_damaged_share=config.max_damaged_share,
            progress=progress,
            engine=engine_of(arguments),
            rebuild=partial(make_dataset, config),
        )
    _print_manifest(manifest, split, arguments.out)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int, int], None]]:
    """A function of (clips done, clips in all, clips skipped) that shows a progress bar.

    The bar begins with the first call. Clips of an earlier run count as done, but not for the rate.
    """
    bars: list[tqdm] = []

    def progress(done: int, total: int, skipped: int) -> None:
        if not bars:
            bars.append(tqdm(desc=title, unit="clip", total=total, initial=done, dynamic_ncols=True))
        bars[0].set_postfix(skipped=skipped, refresh=False)
        bars[0].update(done - bars[0].n)

    try:
        yield progress
    finally:
        for bar in bars:
            bar.close()


def _print_manifest(manifest: dict, split: str, out: Path) -> None:
    """Prints the numbers of clips and shards, and the first damaged clips."""
    from tfvid.data.records import MANIFEST
    from tfvid.data.skipped import damage_line

    print(
        f"{split}: {manifest['clips']} clips in {len(manifest['shards'])} shards, {manifest['bytes'] / 1e6:.1f} MB; "
        f"{len(manifest['skipped'])} skipped, {len(manifest['damaged'])} damaged, listed in {out / split / MANIFEST}"
    )
    if manifest["damaged"]:
        print(f"{split}: {damage_line(manifest['damaged'])}")


def _data_config(arguments) -> DataConfig:
    """The data section of the configuration, or the defaults; options of the command line replace its values."""
    config = load(arguments.config).data if arguments.config else DataConfig()
    if not (arguments.config or arguments.dataset):
        raise ConfigError("name the data: --dataset or --config")
    names = [field.name for field in dataclasses.fields(DataConfig)]
    given: dict[str, Any] = {name: getattr(arguments, name, None) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if "size" in given:
        given["size"] = tuple(given["size"])
    if arguments.option:
        given["options"] = config.options | dict(_option(text) for text in arguments.option)
    return dataclasses.replace(config, records=None, **given)


def _option(text: str) -> tuple[str, object]:
    """The name and the value of ``NAME=VALUE``; the value is read as YAML.

    Raises:
      ConfigError: `text` has another form.
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ConfigError(f"--option must be name=value, got {text!r}")
    return name, parse(value, f"--option {text!r}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid prepare",
        description="Write the clips of a dataset as TFRecord shards. A run that was stopped continues.",
    )
    parser.add_argument("--config", type=Path, help="YAML file; its data section is the default of the settings below")
    parser.add_argument("--dataset", help="name of a dataset, or my_file.py:MyDataset")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="a further option of the dataset; repeat it for several"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument(
        "--split", action="append", help="split of the dataset; repeat it for several (default: all that have labels)"
    )
    parser.add_argument("--num-frames", type=int, help="frames of a clip (default: 16)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="height and width of the frames in pixels (default: 224 224)",
    )
    parser.add_argument("--shard-size", type=int, default=256, help="clips in a shard (default: 256)")
    parser.add_argument("--quality", type=int, default=90, help="quality of the JPEG frames, 1 to 100 (default: 90)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode videos (default: one for each processor core)"
    )
    add_engine_options(parser)
    parser.add_argument("--time-limit", type=float, help="seconds a file may take (60)")
    parser.add_argument("--max-bad-share", type=float, help="stop when more of the clips are bad (0.1)")
    parser.add_argument("--max-damaged-share", type=float, help="stop when more of the clips are damaged (1.0)")
    return parser
