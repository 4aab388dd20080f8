"""The folder of a run: whether it is new, half done, or finished, and that two runs never share one."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from tfvid.config import RunConfig, load, to_yaml
from tfvid.core.errors import ConfigError, DataError
from tfvid.core.files import remove_folder, replacing


class Run:
    """``<runs>/<name>``, opened for `config`.

    Args:
      runs, saved_models: the folders that hold all runs and all saved models.
      overwrite: start over, where a run or a model of this name is there already.
      extend: let a run that is there train for more epochs than its own configuration says.
      chief: False for a worker whose chief has looked after all that, and who only reads.

    Attributes:
      folder: ``<runs>/<name>``.
      checkpoints: the folder of its checkpoints.
      saved_model: ``<saved_models>/<name>``.
      extended_from: of a run that is extended now, the number of epochs it was for before; None for others.

    Raises:
      ConfigError: a run of this name, with work in it, has another configuration; a model of this name comes
        from elsewhere; or there is no run to extend.
    """

    def __init__(
        self,
        config: RunConfig,
        runs: str | Path,
        saved_models: str | Path,
        overwrite: bool = False,
        extend: bool = False,
        *,
        chief: bool = True,
    ):
        self.config, self.folder = config, Path(runs) / config.name
        self.checkpoints, self.saved_model = self.folder / "checkpoints", Path(saved_models) / config.name
        self._settings = self.folder / "config.yaml"
        self.extended_from: int | None = None
        if not chief:
            return
        if overwrite and extend:
            raise ConfigError("overwrite starts a run over and extend goes on with it: expected one of them, got both")
        has_work = any(any(self.checkpoints.glob(names)) for names in ("epoch-*", "within-*"))
        if overwrite and (self._settings.exists() or not self.folder.exists()):
            remove_folder(self.folder)
        elif has_work:
            self._check_settings(extend)
        elif extend:
            raise ConfigError(f"{self.folder}: expected a run to extend, got none; train it without --extend first")
        elif self.saved_model.exists() and not overwrite:
            raise ConfigError(
                f"{self.saved_model} is there already; give this run another name=..., or use --overwrite"
            )

    def begin(self) -> None:
        """Writes ``config.yaml``; call it when nothing is left that could be wrong with the configuration."""
        with replacing(self._settings) as temporary:
            temporary.write_text(to_yaml(self.config), encoding="utf-8")

    def _check_settings(self, extend: bool) -> None:
        before = load(self._settings)
        epochs, wanted = before.train.epochs, self.config.train.epochs
        longer = replace(before, train=replace(before.train, epochs=max(epochs, wanted)))
        difference = _difference(longer if extend else before, self.config)
        if not difference:
            self.extended_from = epochs if wanted > epochs else None
            return
        ways = "give this one another name=..., or start over with --overwrite"
        if wanted > epochs and not _difference(longer, self.config):
            ways = f"go on to epoch {wanted} with --extend, {ways}"
        raise ConfigError(f"{self.folder} holds a run with other settings ({difference}); {ways}")

    def metrics(self) -> dict | None:
        """The results of a finished run; None while there are epochs left to do, as in a run that was extended.

        Raises:
          DataError: they cannot be read.
        """
        path = self.folder / "metrics.json"
        if not path.exists():
            return None
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            return metrics if metrics["epochs"] >= self.config.train.epochs else None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected the metrics of a run as JSON ({error}); remove it, and start again"
            ) from error

    def finish(self, metrics: dict) -> None:
        """Writes ``metrics.json``, which marks the run as finished."""
        with replacing(self.folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _difference(before: RunConfig, now: RunConfig) -> str:
    """``train.epochs: 3, now 4``; the first setting that differs, "" where none does."""
    old, new = _flat(asdict(before)), _flat(asdict(now))
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            return f"{key}: {old.get(key)}, now {new.get(key)}"
    return ""


def _flat(values: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
