"""The sanity checks of a benchmark: whether the maps of the configured methods change when weights are randomised."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from tfvid.config import MethodConfig
from tfvid.core.files import replacing
from tfvid.experiments.attribution.judge import text_batches
from tfvid.experiments.attribution.methods import build
from tfvid.experiments.clips import Clips
from tfvid.metrics.sanity import sanity_check

NAME = "sanity.json"


class Sanity:
    """Runs the sanity checks of a benchmark, and saves each result in ``sanity.json``.

    Args:
      out: the benchmark's folder.
      methods: the methods to check.
      made_by: the digests of the records, see `tfvid.experiments.attribution.records.made_by`.
      num_clips: the number of clips of each check.
      seed: the seed of the randomised weights.

    Attributes:
      rows: one dict per network and method: ``network``, ``method``, ``clips``; ``cascade``, a list of dicts of
        ``layer``, ``spearman`` and ``ssim``, starting at the scores; and ``key``, a digest of what the check depends
        on.
    """

    def __init__(
        self,
        out: Path,
        methods: Sequence[MethodConfig],
        made_by: Mapping[tuple[str, str], str],
        *,
        num_clips: int,
        seed: int,
    ):
        self.file, self.methods, self.made_by = Path(out) / NAME, methods, made_by
        self.num_clips, self.seed = num_clips, seed
        kept = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else []
        self.rows = [row for row in kept if self._key(row["network"], row["method"]) == row["key"]]

    def check(self, name: str, clips: Clips, refused: Mapping[str, str]):
        """Checks the methods on one network, except those that do not support it."""
        done = {row["method"] for row in self.rows if row["network"] == name}
        todo = [method for method in self.methods if method.row not in refused and method.row not in done]
        if not todo:
            return
        batch = next(text_batches(clips, limit=self.num_clips))
        for method in tqdm(todo, desc=f"sanity {name}", unit="method"):
            explain = build(method, clips.model.model)
            target = explain(batch["clip"]).target
            found = sanity_check(
                clips.model.model,
                batch["clip"],
                lambda _, shown, explain=explain, target=target: explain(shown, target).attribution,
                seed=self.seed,
            )
            self._keep(
                {
                    "network": name,
                    "method": method.row,
                    "key": self._key(name, method.row),
                    "clips": len(batch["id"]),
                    "cascade": found.rows(),
                }
            )

    def _key(self, network: str, method: str) -> str:
        """Returns a digest of what a check depends on."""
        return f"{self.made_by.get((network, method))} {self.num_clips}"

    def _keep(self, row: dict):
        self.rows.append(row)
        with replacing(self.file) as temporary:
            temporary.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
