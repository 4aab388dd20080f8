"""The private parts of Keras and TensorFlow do what tfvid needs; a failure names the feature that breaks."""

import ast
import random
from contextlib import contextmanager
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from keras import layers

from tfvid.network import private_api


@contextmanager
def needed_for(feature: str):
    """Inside, any error becomes a failed test that names the tfvid feature."""
    try:
        yield
    except Exception as error:
        pytest.fail(f"a private part of Keras or TensorFlow changed, which breaks: {feature} ({error!r})")


def test_a_failure_names_the_feature():
    expected = pytest.raises(pytest.fail.Exception, match="which breaks: maps of layers .AttributeError")
    with expected, needed_for("maps of layers"):
        raise AttributeError("no _flatten_layers")


def private_uses(text: str) -> list[str]:
    """The private modules of Keras and TensorFlow that a module imports, and the private attributes it reads.

    Attributes of tfvid's own objects do not count: those that the text itself defines or reads from ``self``.
    """
    nodes = list(ast.walk(ast.parse(text)))
    imports = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    imports += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    reads = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr[0] == "_" != node.attr[1]]
    own = {node.attr for node in reads if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    of_super = {id(n) for n in reads if isinstance(n.value, ast.Call) and getattr(n.value.func, "id", "") == "super"}
    found = [name for name in imports if name.startswith(("keras.src", "tensorflow.python"))]
    return found + [node.attr for node in reads if node.attr not in own and id(node) not in of_super]


def test_private_uses_are_found():
    text = "import keras.src.ops\nfrom tensorflow.python.eager import context\nx = layer._nodes, self._mine, y._mine"
    assert private_uses(text) == ["tensorflow.python.eager", "keras.src.ops", "_nodes"]


@pytest.mark.parametrize("folder", ["core", "network", "data", "models", "metrics", "explain", "export", "training"])
def test_nothing_else_uses_private_parts(folder):
    files = (Path(private_api.__file__).parents[1] / folder).rglob("*.py")
    uses = {file.name: private_uses(file.read_text("utf-8")) for file in files if file.name != "private_api.py"}
    assert {name: found for name, found in uses.items() if found} == {}


def test_inner_layers():
    block = layers.TimeDistributed(keras.Sequential([layers.Dense(2, name="inner")], name="part"))
    model = keras.Sequential([keras.Input((3, 4)), block])
    with needed_for("finding layers by path in CAM explainers, excitation backprop, fast layers (`named_layers`)"):
        assert private_api.inner_layers(model)[-1] is block
        (part,) = private_api.inner_layers(block)
        assert [layer.name for layer in private_api.inner_layers(part)][-1:] == ["inner"]


def test_order_of_nodes():
    shared, first, second = layers.Dense(2), keras.Input((2,)), keras.Input((2,))
    late = shared(layers.Activation("relu")(first))  # made first, and runs after the other use, which is less deep
    early = shared(second)
    model = keras.Model([first, second], layers.Concatenate()([layers.Activation("relu")(early), late]))
    with needed_for("CAM explainers of a layer that a model uses several times: the order of `use=0, 1, ...`"):
        of_shared = [node for node in private_api.running_order(model) if node.operation is shared]
        assert len(of_shared) == 2
        outputs = [node.outputs[0] for node in private_api.creation_order(shared)]
        assert outputs[0] is late and outputs[1] is early
        depths = [node.operation for node in private_api.running_order(model)]
        assert depths.index(shared) < depths.index(model.layers[-1])
    assert private_api.running_order(keras.Model()) == []


def test_captured_tensors():
    outside = tf.constant([255.0, 255.0, 255.0, 1.0, 2.0, 3.0])
    traced = tf.function(lambda x: x / outside, autograph=False).get_concrete_function(tf.TensorSpec((6,)))
    with needed_for('reading the range of pixel values from a model\'s first layers (`input_range="auto"`)'):
        ((captured, inside),) = private_api.captured_tensors(traced.graph)
        assert captured is outside and inside.graph is traced.graph


def test_uninlined():
    square = private_api.uninlined(lambda x: x * x)
    outer = tf.function(lambda x: square(x) + 1.0, autograph=False).get_concrete_function(tf.TensorSpec(()))
    with needed_for("the speed of learned masks and IntegratedGradients of models with max-pools"):
        (inner,) = outer.graph.as_graph_def().library.function
        assert inner.attr["_noinline"].b
        assert float(outer(tf.constant(3.0))) == 10


def test_uses_onednn():
    with needed_for("the warning that TensorFlow runs without oneDNN, and `mixed_precision='auto'` on CPUs"):
        assert private_api.uses_onednn() in (True, False)


def test_tensorflow_generator():
    with needed_for("explaining during `fit` without changing the training (`undisturbed`): tf.random"):
        before = private_api.tensorflow_generator()
        try:
            tf.random.set_global_generator(None)
            assert private_api.tensorflow_generator() is None
            made = tf.random.get_global_generator()
            assert private_api.tensorflow_generator() is made
        finally:
            tf.random.set_global_generator(before)


def test_keras_generator():
    with needed_for("explaining during `fit` without changing the training (`undisturbed`): keras.random"):
        before = private_api.keras_generator()
        try:
            private_api.set_keras_generator(None)
            assert private_api.keras_generator() is None
            keras.random.normal((2,))
            made = private_api.keras_generator()
            assert tuple(made.state.shape) == (2,)
        finally:
            private_api.set_keras_generator(before)


def test_operation_seeds():
    before = private_api.operation_seeds()
    with needed_for("explaining during `fit` without changing the training (`undisturbed`): operations without a seed"):
        try:
            tf.random.set_seed(7)
            seed, source = private_api.operation_seeds()
            assert seed == 7 and isinstance(source, random.Random)
            state = source.getstate()
            private_api.set_operation_seeds(7, random.Random(1))
            tf.random.normal((2,))
            assert source.getstate() == state  # the operation drew its seed from the other source
            private_api.set_operation_seeds(7, source)
            tf.random.normal((2,))
            assert source.getstate() != state
        finally:
            private_api.set_operation_seeds(*before)


def test_gradient_of_operation():
    """Of split and add: (1, 2) for 1 x + 2 y."""
    with (
        needed_for("LRP and DeepLIFT, the gradient of one operation (`gradient_of_operation`)"),
        tf.Graph().as_default(),
    ):
        x = tf.constant([1.0, 2.0])
        first, second = tf.split(x, 2)
        (split,) = {first.op, second.op}
        gradients = private_api.gradient_of_operation(split, [tf.constant([1.0]), tf.constant([2.0])])
        with tf.compat.v1.Session() as session:
            assert session.run([g for g in gradients if g is not None][0]).tolist() == [1.0, 2.0]
        assert gradients[0] is None and len(gradients) == 2
