"""The base of masks in space that are optimised: grids of values per clip and a loss, in compiled steps.

The clips of a batch are optimised together. Each has its own loss and moments. A clip's loss does not depend on the
other clips, so the gradient of the sum of all losses holds the gradient of each.
"""

from abc import abstractmethod
from typing import Unpack

import tensorflow as tf
from tqdm import tqdm

from tfvid.core.errors import TfvidError
from tfvid.explain.base import Explainer, ResultType
from tfvid.explain.options import ModelOptions
from tfvid.network.compiled import Compiled
from tfvid.network.private_api import uninlined

STEPS_AT_ONCE = 50  # per call of the compiled loop; the progress bar moves between calls


class PassedOptions(ModelOptions, total=False):
    """The options of `LearnedMask` that its subclasses pass on."""

    progress: bool


class LearnedMask(Explainer[ResultType]):
    """Minimises a loss over grids of mask values in [0, 1].

    A subclass implements the initial grid (`_begin`), the loss (`_loss`), one step (`_update`) and the fields of the
    result (`_report`).

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`. It is left unchanged.
      iterations: number of steps, >= 0; each takes a forward and a backward pass of the model.
      progress: whether to show a progress bar for each batch.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1.

    Raises:
      TfvidError: an option outside its range.
    """

    def __init__(
        self, model, *, iterations: int, batch_size: int, progress: bool = False, **options: Unpack[ModelOptions]
    ):
        super().__init__(model, batch_size=batch_size, **options)
        if iterations < 0:
            raise TfvidError(f"expected iterations >= 0, got {iterations}")
        self.iterations = iterations
        self.progress = progress
        self._compiled_begin = Compiled(self._begin)
        self._compiled = Compiled(self._descend, "gradient")
        self._compiled_report = Compiled(self._report)

    @abstractmethod
    def _begin(self, clips, target) -> tuple[dict[str, tf.Tensor], tuple[tf.Tensor, ...]]:
        """Returns the fields that are known before the descent, and the initial state: the grid, then the moments.

        The fields are at least `target`, `predicted` and `score`, of the unperturbed clips.
        """

    @abstractmethod
    def _loss(self, clips, target):
        """Returns a function from a grid and a step (from 0) to the losses of `clips`, the batch first."""

    @abstractmethod
    def _update(self, step, gradient, grid, *moments) -> tuple[tf.Tensor, ...]:
        """Returns the state after one step.

        Args:
          step: int32 scalar, from 0.
          gradient: of the loss, like `grid`.
          grid: float32, the batch first.
          *moments: the rest of the state.
        """

    @abstractmethod
    def _report(self, clips, target, grid) -> dict[str, tf.Tensor]:
        """Returns the fields of the result that depend on the final grid."""

    def _compute(self, clips, target):
        known, state = self._compiled_begin(clips, target)
        chosen = known["target"]
        with tqdm(total=self.iterations, unit="step", leave=False, disable=not self.progress) as bar:
            for first in range(0, self.iterations, STEPS_AT_ONCE):
                count = min(STEPS_AT_ONCE, self.iterations - first)
                state = self._compiled(clips, chosen, *(tf.fill(chosen.shape, n) for n in (first, count)), *state)
                bar.update(count)
        found = known | self._compiled_report(clips, chosen, state[0])
        return found | {"iterations": tf.fill(chosen.shape, self.iterations)}

    def _descend(self, clips, target, first, count, *state):
        """Takes `count` steps from step `first` on; both are int32 `(B,)`, equal for all clips. Traced once."""
        loss = self._loss(clips, target)

        # It stays a function of its own within the loop, see `tfvid.explain.masks.descent`.
        @uninlined
        def gradient(grid, step):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(grid)
                value = loss(grid, step)
            return tape.gradient(value, grid)

        def one(step, *state):
            return (step + 1, *self._update(step, gradient(state[0], step), *state))

        end = first[0] + count[0]
        return tf.while_loop(lambda step, *_: step < end, one, (first[0], *state))[1:]
