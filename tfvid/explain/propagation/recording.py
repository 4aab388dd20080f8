"""Records the operations that a model runs on clips, and finds out which of them depend on the clips."""

import re
from contextlib import ExitStack, contextmanager

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.explain.propagation.operations import ELEMENTWISE, MOVES, SHAPES
from tfvid.network.classifier import Classifier
from tfvid.network.tracing import named_layers, replaced


class Recording:
    """One run of a model on clips: its operations and which of them depend on the clips.

    Args:
      classifier: the model as a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`.
      blocked: the types of operations whose outputs count as constants.

    Attributes:
      clips: the clips, as a tensor of this run's own.
      logits: float32 `(B, K)`.
      operations: those that depend on the clips, in the order in which they run.
    """

    def __init__(self, classifier: Classifier, clips: tf.Tensor, blocked: tuple[str, ...] = ()):
        graph = tf.compat.v1.get_default_graph()
        self.clips = tf.identity(clips)
        before = len(graph.get_operations())
        with plain_operations(classifier.model):
            self.logits = classifier.logits(self.clips)
        operations = graph.get_operations()[before:]
        self._layers = dict(named_layers(classifier.model))
        self._live = {self.clips.ref()}
        self._users: dict = {}
        self._before: dict = {}  # by the tensor that a function of each element returns: the tensor that it is given
        self.fused: dict[str, tf.Tensor] = {}  # by the name of an operation
        self.pixels = {self.clips.ref()}  # the clips' values, moved or with another scale
        for operation in operations:
            if operation.type not in (*SHAPES, *blocked):
                self._see(operation)
        self.operations = [o for o in operations if any(y.ref() in self._live for y in o.outputs)]

    def _see(self, operation):
        live = self.live_inputs(operation)
        if not live:
            return
        for x in live:
            self._users.setdefault(x.ref(), []).append(operation)
        self._live.update(y.ref() for y in operation.outputs)
        for y in operation.outputs:
            if (x := self._function_of(operation, y, live)) is not None:
                self._before[y.ref()] = x
        is_move = operation.type in MOVES or all(y.ref() in self._before for y in operation.outputs)
        if is_move and all(x.ref() in self.pixels for x in live):
            self.pixels.update(y.ref() for y in operation.outputs)

    def _function_of(self, operation, y, live):
        """The nearest tensor of which `y` is a function of each element; None if there is none."""
        if operation.type == "IdentityN":
            x = operation.inputs[list(o.ref() for o in operation.outputs).index(y.ref())]
            return x if x.ref() in self._live else None
        if operation.type not in ELEMENTWISE:
            return None
        if len(live) == 1:
            return live[0] if _same_shape(live[0], y) else None
        chains = [list(self._chain(x)) for x in live]
        for x in chains[0]:
            if all(any(x is other for other in chain) for chain in chains[1:]):
                if not _same_shape(x, y):
                    return None
                self.fused[operation.name] = x
                return x
        return None

    def _chain(self, x):
        while x is not None:
            yield x
            x = self._before.get(x.ref())

    def is_live(self, x: tf.Tensor) -> bool:
        """Returns whether a tensor depends on the clips."""
        return x.ref() in self._live

    def live_inputs(self, operation) -> list[tf.Tensor]:
        """Returns the inputs of an operation that depend on the clips, each once."""
        return list({x.ref(): x for x in operation.inputs if x.ref() in self._live}.values())

    def users(self, x: tf.Tensor) -> list[tf.Operation]:
        """Returns the operations that take a tensor."""
        return self._users.get(x.ref(), [])

    def elementwise_user(self, x: tf.Tensor) -> tf.Operation | None:
        """Returns the operation that makes another tensor of `x` element by element, if nothing else takes `x`.

        It is a function of each element, a sum or product with other features, or a change of the order of elements.
        """
        fused = [operation for operation in self.operations if self.fused.get(operation.name) is x]
        if fused:
            return fused[-1]
        users = self.users(x)
        is_one = len(users) == 1 and users[0].type in (*ELEMENTWISE, "Reshape", "Transpose")
        return users[0] if is_one else None

    def layer_of(self, operation: tf.Operation) -> str:
        """Returns the path of the layer that runs an operation, or the name of the operation outside of layers."""
        path, _ = self._owner(operation)
        return path or operation.name

    def _owner(self, operation):
        """The path and the layer that run an operation, the innermost one; ("", None) outside of layers."""
        names = operation.name.split("/")
        names += [re.sub(r"_\d+$", "", name) for name in names]  # TensorFlow numbers the scopes of later calls
        owners = [(path, layer) for path, layer in self._layers.items() if layer.name in names]
        return max(owners, key=lambda owner: owner[0].count("/"), default=("", None))

    def refuse(self, operation, method: str, instead: str):
        """Raises ModelError for an operation without a rule, with the name and the type of its layer."""
        path, layer = self._owner(operation)
        where = f"layer {path!r} ({type(layer).__name__})" if path else f"operation {operation.name!r}"
        raise ModelError(f"{where}: {method} has no rule for its operation {operation.type}; {instead}")


def _same_shape(x, y) -> bool:
    return x.shape.rank is not None and x.shape.rank == y.shape.rank and x.shape.as_list() == y.shape.as_list()


@contextmanager
def plain_operations(model: keras.Model):
    """Inside, layers run as plain operations, which have rules, where Keras uses loops or compiled functions.

    Recurrent layers run step by step; a layer of unknown length keeps its loop. Convolutions that Keras compiles, 3-D
    ones of channels-first features and those in groups, run on channels-last features and ungrouped.
    """
    with ExitStack() as stack:
        for _, layer in named_layers(model):
            if isinstance(layer, keras.layers.RNN):
                stack.enter_context(replaced(layer, "unroll", True))
                if hasattr(layer, "use_cudnn"):
                    stack.enter_context(replaced(layer, "use_cudnn", False))
            elif hasattr(layer, "convolution_op") and (layer.groups > 1 or _is_compiled(layer)):
                stack.enter_context(replaced(layer, "convolution_op", _plain_convolution(layer)))
        yield


def _is_compiled(layer) -> bool:
    return layer.rank == 3 and layer.data_format == "channels_first"


def _plain_convolution(layer):
    """The ``convolution_op`` of a layer as one plain convolution, with its order of axes changed if it has to be."""
    ends = [0, layer.rank + 1, *range(1, layer.rank + 1)]  # from channels-last to channels-first
    starts = [0, *range(2, layer.rank + 2), 1]

    def convolution(inputs, kernel):
        is_first = layer.data_format == "channels_first"
        x = tf.transpose(inputs, starts) if is_first else inputs
        y = keras.ops.conv(
            x,
            _ungrouped(tf.convert_to_tensor(kernel), layer.groups),
            strides=list(layer.strides),
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
            data_format="channels_last",
        )
        return tf.transpose(y, ends) if is_first else y

    return convolution


def _ungrouped(kernel: tf.Tensor, groups: int) -> tf.Tensor:
    """The kernel of a convolution in groups as one of all channels: zero between channels of different groups."""
    if groups == 1:
        return kernel
    channels, units = kernel.shape[-2] * groups, kernel.shape[-1]
    of_channel, of_unit = (np.arange(count) * groups // count for count in (channels, units))
    same = tf.constant(of_channel[:, None] == of_unit, kernel.dtype)
    return tf.tile(kernel, [1] * (kernel.shape.rank - 2) + [groups, 1]) * same
