"""TensorFlow's operations by kind: what a rule has to know about them."""

import tensorflow as tf

# Linear in each of their inputs. With weights as the other input they are layers: dense layers and convolutions.
# The numbers are the positions of the features and of the weights.
CONVOLUTIONS = {
    "Conv2D": (0, 1),
    "Conv3D": (0, 1),
    "DepthwiseConv2dNative": (0, 1),
    "Conv2DBackpropInput": (2, 1),  # transposed convolutions
    "Conv3DBackpropInputV2": (2, 1),
}
MATRIX_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")
PRODUCTS = (*CONVOLUTIONS, *MATRIX_PRODUCTS, "Mul")

# Functions of each element; `AFFINE` ones may have a constant as their other input.
SUMS = ("Add", "AddV2", "Sub", "AddN", "BiasAdd")
IDENTITIES = ("Identity", "IdentityN", "Cast", "CheckNumerics", "PreventGradient", "EnsureShape", "Snapshot")
AFFINE = (*SUMS, *IDENTITIES, "Mul", "Neg", "RealDiv", "FusedBatchNormV3")
CURVES = (
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh", "Erf", "Erfc"),
    *("Exp", "Expm1", "Log", "Log1p", "Abs", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Inv", "Pow", "Sign"),
    *("Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Maximum", "Minimum", "ClipByValue", "SquaredDifference"),
)
COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "LogicalAnd", "LogicalOr")
CHOICES = ("Select", "SelectV2")
ELEMENTWISE = (*AFFINE, *CURVES, *COMPARISONS, *CHOICES, "LogicalNot", "IsFinite", "IsNan")

# They move elements, or repeat or drop them.
MOVES = (
    *("Reshape", "Squeeze", "ExpandDims", "Transpose", "ConcatV2", "Concat", "Pack", "Unpack", "Split", "SplitV"),
    *("Slice", "StridedSlice", "GatherV2", "Gather", "GatherNd", "Pad", "PadV2", "MirrorPad", "Tile", "BroadcastTo"),
    *("ReverseV2", "Roll", "SpaceToBatchND", "BatchToSpaceND", "SpaceToDepth", "DepthToSpace"),
    *("ExtractImagePatches", "ExtractVolumePatches"),
)
# Linear, too.
MEANS = ("Mean", "Sum", "AvgPool", "AvgPool3D", "Cumsum", "ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor")
LINEAR = (*SUMS, *IDENTITIES, *MOVES, *MEANS, "Neg", "FusedBatchNormV3")

# Their output is one of their inputs.
MAXIMA = ("MaxPool", "MaxPoolV2", "MaxPool3D", "Max", "Min")

# Their outputs say nothing about values.
SHAPES = ("Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike")


def again(operation: tf.Operation, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Runs an operation of the graph once more, with the same settings on other inputs.

    Args:
      operation: the operation.
      inputs: one tensor for each of its inputs. If they have another dtype than the operation's own (float32 instead of
        bfloat16), all that had the dtype get the new one, constants, too.

    Returns:
      Its outputs.
    """
    others = {old.dtype: new.dtype for new, old in zip(inputs, operation.inputs, strict=True) if new.dtype != old.dtype}
    inputs = [tf.cast(x, others.get(x.dtype, x.dtype)) for x in inputs]
    attributes = {}
    for name, value in operation.node_def.attr.items():
        if not name.startswith("_"):  # what TensorFlow notes for itself
            attributes[name] = value
            if value.HasField("type") and (dtype := tf.as_dtype(value.type)) in others:
                attributes[name] = tf.compat.v1.AttrValue(type=others[dtype].as_datatype_enum)
    dtypes = [others.get(y.dtype, y.dtype) for y in operation.outputs]
    return operation.graph.create_op(operation.type, inputs, dtypes, attrs=attributes).outputs
