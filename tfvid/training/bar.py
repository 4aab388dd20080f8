"""The progress of a training run: a bar within each epoch, and one line after it."""

import sys
import time

import keras
from tqdm import tqdm


class Bar(keras.callbacks.Callback):
    """Shows the batches of each epoch with loss, accuracy and the remaining time, then a line with the results.

    Args:
      steps: the number of batches of an epoch.
      epochs: the number of epochs of the whole run.
      bar: whether to draw the bar; the line after each epoch is always printed. None draws it if standard error is a
        terminal.
      seen: the number of batches of the first epoch that an earlier start of this run has finished.
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
        """Removes the bar from the screen. Call it, too, when an error or a stop ends the epoch early."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
