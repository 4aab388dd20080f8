"""The folder of a run: whether it is new, half done, or finished, and that two runs never share one."""

import json
from dataclasses import asdict
from pathlib import Path

from tfvid.config import RunConfig, load, to_yaml
from tfvid.errors import ConfigError, DataError
from tfvid.files import remove_folder, replacing


class Run:
    """``<runs>/<name>``, opened for `config`.

    Args:
      runs, saved_models: the folders that hold all runs and all saved models.
      overwrite: start over, where a run or a model of this name is there already.
      chief: False for a worker whose chief has looked after all that, and who only reads.

    Attributes:
      folder: ``<runs>/<name>``.
      checkpoints: the folder of its checkpoints.
      saved_model: ``<saved_models>/<name>``.

    Raises:
      ConfigError: a run of this name, with work in it, has another configuration; or a model of this name comes
        from elsewhere.
    """

    def __init__(
        self,
        config: RunConfig,
        runs: str | Path,
        saved_models: str | Path,
        overwrite: bool = False,
        *,
        chief: bool = True,
    ):
        self.config, self.folder = config, Path(runs) / config.name
        self.checkpoints, self.saved_model = self.folder / "checkpoints", Path(saved_models) / config.name
        self._settings = self.folder / "config.yaml"
        if not chief:
            return
        if overwrite and (self._settings.exists() or not self.folder.exists()):
            remove_folder(self.folder)
        elif any(self.checkpoints.glob("epoch-*")):
            self._check_settings()
        elif self.saved_model.exists() and not overwrite:
            raise ConfigError(
                f"{self.saved_model} is there already; give this run another name=..., or use --overwrite"
            )

    def begin(self) -> None:
        """Writes ``config.yaml``; call it when nothing is left that could be wrong with the configuration."""
        with replacing(self._settings) as temporary:
            temporary.write_text(to_yaml(self.config), encoding="utf-8")

    def _check_settings(self) -> None:
        difference = _difference(load(self._settings), self.config)
        if difference:
            raise ConfigError(
                f"{self.folder} holds a run with other settings ({difference}); "
                "give this one another name=..., or start over with --overwrite"
            )

    def metrics(self) -> dict | None:
        """The results of a finished run; None while there is something left to do."""
        path = self.folder / "metrics.json"
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"{path}: not valid JSON ({error})") from error

    def finish(self, metrics: dict) -> None:
        """Writes ``metrics.json``, which marks the run as finished."""
        with replacing(self.folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")


def _difference(before: RunConfig, now: RunConfig) -> str:
    """``train.epochs: 3, now 4``; the first setting that differs, "" where none does."""
    old, new = _flat(asdict(before)), _flat(asdict(now))
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            return f"{key}: {old.get(key)}, now {new.get(key)}"
    return ""


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
