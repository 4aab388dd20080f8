"""The layers of a PyTorch model: which ran, what they returned, and runs with other values in place of these.

PyTorch's forward hooks see a module's output and may replace it. A module's output is used here as
`(B, T', H', W', K)`, like a Keras layer's, or `(B, H', W', K)`.
"""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

# Modules that say where their output has its channels; others have them where the last of these had them.
CHANNELS_FIRST = tuple(
    getattr(torch.nn, f"{kind}{rank}d")
    for kind in ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool")
    for rank in (2, 3)
)
CHANNELS_LAST = (torch.nn.Linear, torch.nn.LayerNorm)


@dataclass(frozen=True)
class Features:
    """A tensor that modules have returned.

    Attributes:
      uses: the modules that returned it and the number of the use of each, the outermost module first.
      shape: the shape in PyTorch's order, of the run on zeros.
      channels_last: whether the channels are its last axis already.
    """

    uses: tuple[tuple[str, int], ...]
    shape: tuple[int, ...]
    channels_last: bool

    @property
    def is_moved(self) -> bool:
        """Whether the channels move between PyTorch's order and TensorFlow's."""
        return len(self.shape) in (4, 5) and not self.channels_last

    def outwards(self, features: torch.Tensor) -> torch.Tensor:
        """Returns features in PyTorch's order with the channels last."""
        return features.movedim(1, -1) if self.is_moved else features

    def inwards(self, features: torch.Tensor) -> torch.Tensor:
        """Returns features with the channels last in PyTorch's order."""
        return features.movedim(-1, 1) if self.is_moved else features


@contextmanager
def evaluating(net: torch.nn.Module):
    """Inside, all modules are in inference mode. Restores the mode of each."""
    training = [module for module in net.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def hooked(net: torch.nn.Module, see):
    """Inside, ``see((name, number), module, output)`` runs at each use of a module and may return another output.

    Args:
      net: the model.
      see: the function. The number counts the uses of a module, from 0.
    """
    counts: dict[str, int] = {}

    def hook(name, module, output):
        number = counts.get(name, 0)
        counts[name] = number + 1
        return see((name, number), module, output)

    with ExitStack() as stack:
        for name, module in net.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):  # TorchScript has no forward hooks
                handle = module.register_forward_hook(lambda m, args, out, name=name: hook(name, m, out))
                stack.callback(handle.remove)
        yield


def recorded(net: torch.nn.Module, run) -> tuple[object, list[Features]]:
    """Returns what `run` returns and the features of all modules that run, in the order in which they end.

    Modules that return the same tensor share one `Features`. An operation in place makes another one of it.

    Args:
      net: the model.
      run: a function without arguments that runs it.
    """
    found: dict[tuple, list] = {}
    orders, alive = _Orders(), []

    def see(use, module, output):
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            alive.append(output)  # so that no other tensor gets its id
            last = orders.channels_last(module, tuple(output.shape))
            found.setdefault((id(output), output._version), [tuple(output.shape), last]).append(use)

    with hooked(net, see):
        result = run()
    return result, [
        Features(tuple(sorted(uses, key=lambda use: use[0].count("."))), shape, last)
        for shape, last, *uses in found.values()
    ]


class _Orders:
    """Where outputs have their channels, from the modules that have run so far."""

    def __init__(self):
        self._shape, self._last = (), False

    def channels_last(self, module, shape: tuple[int, ...]) -> bool:
        if len(shape) not in (4, 5):
            return False
        if type(module) in CHANNELS_FIRST or type(module) in CHANNELS_LAST:
            self._last = type(module) in CHANNELS_LAST
        elif shape != self._shape and len(shape) == len(self._shape):
            first, *sizes = self._shape[1:]
            if not self._last and shape[1:] == (*sizes, first):  # a permutation by hand
                self._last = True
            elif self._last and shape[1:] == (self._shape[-1], *self._shape[1:-1]):
                self._last = False
        self._shape = shape
        return self._last


def run_with(net: torch.nn.Module, run, given: Sequence[tuple[Features, torch.Tensor]], wanted: Sequence[Features]):
    """Returns what `run` returns, and wanted features.

    Args:
      net: the model.
      run: a function without arguments that runs it.
      given: features to use in place of those that the modules return, in PyTorch's order.
      wanted: the features to return.

    Returns:
      The result of `run`, and a list of tensors in PyTorch's order.
    """
    places = {features.uses[-1]: value for features, value in given}
    seen: dict[tuple, torch.Tensor] = {}
    read = {features.uses[-1] for features in wanted}

    def see(use, module, output):
        if use in places:
            return places[use].clone()  # later modules may change it in place
        if use in read:
            seen[use] = output.clone()
        return None

    with hooked(net, see):
        result = run()
    return result, [seen[features.uses[-1]] for features in wanted]
