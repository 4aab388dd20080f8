"""The folder of a run, which is new, unfinished or finished. Two runs with different settings never share a folder."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from tfvid.config import RunConfig, load, to_yaml
from tfvid.core.errors import ConfigError, DataError
from tfvid.core.files import remove_folder, replacing


class Run:
    """Opens ``<runs>/<name>`` for a configuration.

    Args:
      config: the configuration of the run.
      runs: the folder of all runs.
      saved_models: the folder of all saved models.
      overwrite: whether to start over if a run or a model of this name exists.
      extend: whether to continue an existing run to more epochs than its own configuration states.
      chief: whether this process checks and clears the folder. Of several workers, only the chief does; the others only
        read.

    Attributes:
      folder: ``<runs>/<name>``.
      checkpoints: the folder of its checkpoints.
      saved_model: ``<saved_models>/<name>``.
      extended_from: the former number of epochs of a run that is extended now; None for other runs.

    Raises:
      ConfigError: an unfinished or finished run of this name has another configuration; a saved model of this name
        exists without a run; or there is no run to extend.
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
            raise ConfigError("overwrite starts a run over, extend continues it: expected one of them, got both")
        has_work = any(any(self.checkpoints.glob(names)) for names in ("epoch-*", "within-*"))
        if overwrite and (self._settings.exists() or not self.folder.exists()):
            remove_folder(self.folder)
        elif has_work:
            self._check_settings(extend)
        elif extend:
            raise ConfigError(f"{self.folder}: expected a run to extend, got none; train it without --extend first")
        elif self.saved_model.exists() and not overwrite:
            raise ConfigError(f"{self.saved_model} exists already; give this run another name=..., or use --overwrite")

    def begin(self) -> None:
        """Writes ``config.yaml``. Call it when the configuration is completely checked."""
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
            ways = f"continue to epoch {wanted} with --extend, {ways}"
        raise ConfigError(f"{self.folder} holds a run with other settings ({difference}); {ways}")

    def metrics(self) -> dict | None:
        """Returns the results of a finished run; None if epochs are missing, also in an extended run.

        Raises:
          DataError: the file cannot be read.
        """
        path = self.folder / "metrics.json"
        if not path.exists():
            return None
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            return metrics if metrics["epochs"] >= self.config.train.epochs else None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected the metrics of a run as JSON ({error}); remove the file and start the run again"
            ) from error

    def finish(self, metrics: dict) -> None:
        """Writes ``metrics.json``, which marks the run as finished."""
        with replacing(self.folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _difference(before: RunConfig, now: RunConfig) -> str:
    """Returns the first setting that differs, e.g. ``train.epochs: 3, now 4``; "" if none does."""
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
