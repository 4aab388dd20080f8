"""What learned masks in space share: grids of values, one set a clip, taken down a loss in compiled steps.

The clips of a batch go down together, each by its own loss and with its own moments: the gradient of the sum of
losses that do not know of each other is the gradient of each.
"""

from abc import abstractmethod

import tensorflow as tf
from tqdm import tqdm

from tfvid.core.errors import TfvidError
from tfvid.explain.base import Explainer, ResultType
from tfvid.network.compiled import Compiled
from tfvid.network.private_api import uninlined

STEPS_AT_ONCE = 50  # in one call of the compiled loop; between calls, progress is shown


class LearnedMask(Explainer[ResultType]):
    """An explainer that goes down a loss over grids of mask values in [0, 1].

    A subclass says where to begin (`_begin`), what a grid costs (`_loss`), how a step is made (`_update`) and what is
    told in the end (`_tell`).

    Args:
      model: a Keras model, see `Explainer`.
      iterations: steps, a forward and a backward pass of the model each.
      progress: whether to show a bar of the steps of each batch.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.
    """

    def __init__(self, model, *, iterations: int, progress: bool, output: str, input_range, batch_size: int):
        super().__init__(model, output=output, input_range=input_range, batch_size=batch_size)
        if iterations < 0:
            raise TfvidError(f"expected iterations >= 0, got {iterations}")
        self.iterations = iterations
        self.progress = progress
        self._compiled_begin = Compiled(self._begin)
        self._compiled = Compiled(self._descend, "gradient")
        self._compiled_tell = Compiled(self._tell)

    @abstractmethod
    def _begin(self, clips, target) -> tuple[dict[str, tf.Tensor], tuple[tf.Tensor, ...]]:
        """``target``, ``predicted`` and ``score`` for the clips as they are; and the state: the grid, then moments."""

    @abstractmethod
    def _loss(self, clips, target):
        """A function (grid, step from 0) to losses, the clips first, for clips `(B, T, H, W, C)` explained anew."""

    @abstractmethod
    def _update(self, step, gradient, grid, *moments) -> tuple[tf.Tensor, ...]:
        """The state after a step, from 0, with a gradient like `grid`."""

    @abstractmethod
    def _tell(self, clips, target, grid) -> dict[str, tf.Tensor]:
        """What else is in the result, from the grid that was learned."""

    def _compute(self, clips, target):
        known, state = self._compiled_begin(clips, target)
        chosen = known["target"]
        with tqdm(total=self.iterations, unit="step", leave=False, disable=not self.progress) as bar:
            for first in range(0, self.iterations, STEPS_AT_ONCE):
                count = min(STEPS_AT_ONCE, self.iterations - first)
                state = self._compiled(clips, chosen, *(tf.fill(chosen.shape, n) for n in (first, count)), *state)
                bar.update(count)
        found = known | self._compiled_tell(clips, chosen, state[0])
        return found | {"iterations": tf.fill(chosen.shape, self.iterations)}

    def _descend(self, clips, target, first, count, *state):
        """`count` steps from step `first` on, both `(B,)`, the same for all clips; traced once."""
        loss = self._loss(clips, target)

        # A function of its own within the loop: see `tfvid.explain.masks.descent`.
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
