"""What a training run shows while it works: a bar within each epoch, or one line an epoch where output is a file."""

import sys
import time

import keras
from tqdm import tqdm


class Bar(keras.callbacks.Callback):
    """Shows each epoch's batches with loss, accuracy and the time left, then one line with the epoch's results.

    Args:
      steps: batches in an epoch.
      epochs: epochs of the whole run.
      bar: whether to draw the bar; False prints only the line after each epoch. None draws it where the standard
        error output is a terminal.
      seen: batches of the first epoch that an earlier start of this run has finished.
    """

    def __init__(self, steps: int, epochs: int, bar: bool | None = None, seen: int = 0):
        super().__init__()
        self.steps, self.epochs, self.seen = steps, epochs, seen
        self.drawn = sys.stderr.isatty() if bar is None else bar
        self._bar: tqdm | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.monotonic()
        self._bar = tqdm(
            desc=f"epoch {epoch + 1} of {self.epochs}",
            unit="batch",
            total=self.steps,
            initial=self.seen,
            dynamic_ncols=True,
            leave=False,
            disable=not self.drawn,
        )
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        values = {name: f"{float(logs[name]):.3f}" for name in ("loss", "accuracy") if name in logs}
        self._bar.set_postfix(values, refresh=False)
        self._bar.update()

    def on_test_begin(self, logs=None):
        if self._bar is not None:  # Keras calls this for the validation within an epoch
            self._bar.set_description("validation")

    def on_epoch_end(self, epoch, logs=None):
        self.close()
        results = ", ".join(
            f"{name.replace('val_', 'validation ')} {logs[name]:.3f}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if name in logs
        )
        print(f"epoch {epoch + 1} of {self.epochs}: {results} ({time.monotonic() - self._begun:.0f} s)", flush=True)

    def close(self):
        """Removes the bar from the screen; also to be called where an error or a stop ends the epoch early."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
