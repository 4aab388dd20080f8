"""PyTorch models: scores, gradients of the inputs by autograd, and features of layers by forward hooks.

A gradient is computed by a second run of the model: no graph of PyTorch is kept between operations of TensorFlow.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf
import torch

from tfvid.adapters.arrays import ArrayModel, array_function, gradient_function, spec_of
from tfvid.adapters.foreign import ForeignLayer
from tfvid.adapters.torch_layers import Features, evaluating, recorded, run_with


class TorchModel(ArrayModel):
    """A `torch.nn.Module` as a Keras model, with gradients of first order.

    It takes what the module takes: a tensor, often `(B, C, T, H, W)`; a list, which is one argument; a tuple of
    arguments; or a dict of arguments by name. Floats are cast to the dtype of the module's parameters, and outputs to
    float32. The module runs on the device of its parameters, in inference mode. It stays unchanged: its training flags
    are restored, and its parameters get no gradients.

    Args:
      foreign: a `torch.nn.Module`.

    Attributes:
      foreign: the module.
      parts: a layer for each module inside, by its dotted name: ``layer="layer4.1.conv2"``. Its features are those of
        the module with the channels last: `(B, T', H', W', K)` or `(B, H', W', K)`.
    """

    make = "a PyTorch model"
    no_layers = "modules of TorchScript have no forward hooks"

    def __init__(self, foreign: torch.nn.Module):
        named = [
            (name, type(module).__name__)
            for name, module in foreign.named_modules()
            if name and not isinstance(module, torch.jit.ScriptModule)
        ]
        super().__init__(foreign, [ForeignLayer(name, kind) for name, kind in named])
        self.__dict__["_by_name"] = dict(zip((name for name, _ in named), self.parts, strict=True))

    def _weights_of(self):
        return (value.detach().cpu().numpy() for value in self.foreign.state_dict().values())

    def _probe(self, inputs):
        """Returns the outputs as `tf.TensorSpec` and the `Features` of the modules."""
        with torch.no_grad(), evaluating(self.foreign):
            outputs, features = recorded(self.foreign, lambda: self._apply(self._inwards(inputs)))
        return tf.nest.map_structure(_spec, outputs), features

    def _run(self, inputs, flat, known):
        specs, features = known
        watched = [one for one in features if any(self._by_name[name].is_watched for name, _ in one.uses)]
        if len({name for one in watched for name, _ in one.uses if self._by_name[name].is_watched}) > 1:
            *read, outputs = self._stage(inputs, flat, specs, [], watched)
            for one, tensor in zip(watched, read, strict=True):
                self._show(one, tensor)
            return outputs
        given: list = []
        for one in watched:  # the uses of one layer: a later one takes what an earlier one has made
            given.append((one, self._show(one, self._stage(inputs, flat, specs, given, [one])[0])))
        return self._stage(inputs, flat, specs, given, [])[-1]

    def _show(self, features: Features, tensor: tf.Tensor) -> tf.Tensor:
        """Calls the layers of these features, which may be watched, and returns what the rest of the model takes."""
        for name, _ in features.uses:
            tensor = self._by_name[name].call(tensor)
        return tensor

    def _stage(self, inputs, flat, specs, given: list, wanted: list[Features]) -> list:
        """One run of the module.

        Args:
          inputs: the tensors, in the structure that the module takes.
          flat: the same, as a list.
          specs: the outputs.
          given: pairs of `Features` and a tensor that the module uses in their place.
          wanted: the features to return.

        Returns:
          The wanted features, with the channels last, and the outputs.
        """
        places = [features for features, _ in given]
        num_inputs = len(flat) + len(given)  # now: `given` grows
        tensors = [*flat, *(tensor for _, tensor in given)]
        known = [_features_spec(one) for one in wanted] + tf.nest.flatten(specs)

        def run(leaves: list[torch.Tensor]) -> list[torch.Tensor]:
            arguments = tf.nest.pack_sequence_as(inputs, leaves[: len(flat)])
            other = [(one, one.inwards(leaf)) for one, leaf in zip(places, leaves[len(flat) :], strict=True)]
            outputs, seen = run_with(self.foreign, lambda: self._apply(arguments), other, wanted)
            seen = [one.outwards(tensor) for one, tensor in zip(wanted, seen, strict=True)]
            return seen + tf.nest.flatten(outputs)

        def forward(*arrays):
            with torch.inference_mode(False), torch.no_grad(), evaluating(self.foreign), _memory():
                return [_array(one) for one in run([self._tensor(array) for array in arrays])]

        def gradient(*tensors):
            return self._gradients(run, tensors, num_inputs)

        outputs = array_function(forward, tensors, known, gradient)
        return [*outputs[: len(wanted)], tf.nest.pack_sequence_as(specs, outputs[len(wanted) :])]

    def _gradients(self, run, tensors, num_inputs: int) -> list[tf.Tensor | None]:
        """Returns the gradients of the inputs, the first of `tensors`; the others are upstream gradients."""
        inputs = tensors[:num_inputs]
        floats = [place for place, one in enumerate(inputs) if one.dtype.is_floating]

        def backward(*arrays):
            with torch.inference_mode(False), torch.enable_grad(), evaluating(self.foreign), self._any_rnn(), _memory():
                leaves = [self._tensor(array) for array in arrays[:num_inputs]]
                for place in floats:
                    leaves[place] = leaves[place].detach().requires_grad_()
                pairs = [
                    (output, torch.from_numpy(np.array(upstream)).to(output))
                    for output, upstream in zip(run(list(leaves)), arrays[num_inputs:], strict=True)
                    if output.requires_grad
                ]
                return self._autograd(pairs, [leaves[place] for place in floats])

        specs = [tf.TensorSpec(inputs[place].shape, inputs[place].dtype) for place in floats]
        found = dict(zip(floats, gradient_function(backward, tensors, specs, self.make), strict=True))
        return [found.get(place) for place in range(num_inputs)]

    def _autograd(self, pairs: list, leaves: list[torch.Tensor]) -> list[np.ndarray]:
        if not pairs:
            return [np.zeros(leaf.shape, np.float32) for leaf in leaves]
        outputs, upstream = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(outputs, leaves, upstream, allow_unused=True)
        return [
            np.zeros(leaf.shape, np.float32) if one is None else _array(one)
            for leaf, one in zip(leaves, gradients, strict=True)
        ]

    def _apply(self, inputs) -> Any:
        """Returns the module's outputs, tensors, of tensors on its device."""
        if isinstance(inputs, dict):
            outputs = self.foreign(**inputs)
        else:
            outputs = self.foreign(*inputs) if isinstance(inputs, tuple) else self.foreign(inputs)
        return _tensors_only(outputs)

    def _inwards(self, inputs):
        return tf.nest.map_structure(self._tensor, inputs)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        """Returns an array as a tensor on the module's device, floats in the dtype of its parameters."""
        like = next((one for one in self._state() if one.is_floating_point()), torch.empty(0))
        tensor = torch.from_numpy(np.array(array))  # a copy: TensorFlow's memory must not be written to
        return tensor.to(like) if tensor.is_floating_point() else tensor.to(like.device)

    def _state(self):
        yield from self.foreign.parameters()
        yield from self.foreign.buffers()

    def _any_rnn(self):
        """Inside, recurrent modules have gradients in inference mode: cuDNN's do not."""
        has_rnn = any(isinstance(module, torch.nn.RNNBase) for module in self.foreign.modules())
        return torch.backends.cudnn.flags(enabled=False) if has_rnn else nullcontext()


class _memory:
    """Raises a GPU's memory error as a MemoryError, on which an explainer continues with fewer clips."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, torch.OutOfMemoryError):
            raise MemoryError(str(error).splitlines()[0]) from None


def _tensors_only(outputs):
    """Returns nested outputs as dicts, lists and tuples of tensors, without what is no tensor, such as None."""
    if hasattr(outputs, "items"):  # a dict, or an output of Hugging Face's models
        return {str(key): _tensors_only(one) for key, one in outputs.items() if isinstance(one, torch.Tensor | tuple)}
    if isinstance(outputs, list | tuple):
        return [_tensors_only(one) for one in outputs if one is not None]
    return outputs


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous().numpy()


def _spec(tensor: torch.Tensor) -> tf.TensorSpec:
    return spec_of(tensor, tf.float32 if tensor.is_floating_point() else tf.as_dtype(str(tensor.dtype)[6:]))


def _features_spec(features: Features) -> tf.TensorSpec:
    batch, *sizes = features.shape
    return tf.TensorSpec((None, *sizes[1:], sizes[0]) if features.is_moved else (None, *sizes), tf.float32)
