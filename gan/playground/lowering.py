"""How each TensorFlow operation is said in the page's operations.

`LOWERINGS` lists them: type → function of the `Network` and the `Tensor` that
returns the number of the result. All arrays have channels last; a batch is one.
"""

import numpy as np

from gan.playground.convolutions import CONVOLUTIONS
from gan.playground.frozen import UnsupportedError
from gan.playground.moving import MOVING

UNARY = {  # TensorFlow's name → the page's
    "Relu": "relu", "Relu6": "relu6", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "Tanh": "tanh", "Sigmoid": "sigmoid", "Neg": "neg", "Exp": "exp",
    "Log": "log", "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Abs": "abs",
    "Reciprocal": "reciprocal", "Inv": "reciprocal", "Sin": "sin", "Cos": "cos",
}
BINARY = {
    "Add": "add", "AddV2": "add", "BiasAdd": "add", "Sub": "sub", "Mul": "mul",
    "RealDiv": "div", "Div": "div", "Maximum": "maximum", "Minimum": "minimum", "Pow": "pow",
    "SquaredDifference": "squared_difference",
}
REDUCTIONS = {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min"}
SAME_NUMBERS = ("Identity", "Snapshot", "StopGradient", "PreventGradient", "CheckNumerics",
                "EnsureShape", "Reshape", "Squeeze", "ExpandDims", "Cast")


def _same(network, tensor):
    number = network.number(tensor.inputs[0])
    if network.shapes[number] == list(tensor.shape):
        return number
    return network.emit("reshape", [number], tensor.shape)


def _same_of_several(network, tensor):
    return network.number(tensor.inputs[tensor.index])


def _unary(network, tensor, **settings):
    return network.emit("unary", [network.number(tensor.inputs[0])], tensor.shape,
                        fn=UNARY[tensor.type], **settings)


def _leaky_relu(network, tensor):
    return network.emit("unary", [network.number(tensor.inputs[0])], tensor.shape,
                        fn="leaky_relu", alpha=tensor.get("alpha"))


def _binary(network, tensor):
    if tensor.type == "BiasAdd" and tensor.get("data_format") != "NHWC":
        raise UnsupportedError("with channels first")
    return combine(network, BINARY[tensor.type], *map(network.number, tensor.inputs), tensor.shape)


def combine(network, fn, first, second, shape):
    """List a function of two tensors and return its number; the smaller one is repeated.

    Args:
        network: `Network`.
        fn: the page's name of the function.
        first, second: numbers of tensors.
        shape: of the result.
    """
    inputs = [_repeated(network, number, shape) for number in (first, second)]
    return network.emit("binary", inputs, shape, fn=fn)


def _repeated(network, number, shape):
    """Repeat a tensor along the axes where it is 1 long, unless the page does it by itself."""
    own = network.shapes[number]
    count = int(np.prod(own))
    if count == 1 or own == list(shape) or (own and count == own[-1] == shape[-1]):
        return number  # one number, or one for each channel
    own = [1] * (len(shape) - len(own)) + own
    reshaped = network.emit("reshape", [number], own)
    axes = [[0] * length if one == 1 else list(range(length))
            for one, length in zip(own, shape, strict=True)]
    return network.emit("take", [reshaped], shape, axes=axes, fill=0)


def _add_all(network, tensor):
    total, *others = map(network.number, tensor.inputs)
    for other in others:
        total = combine(network, "add", total, other, tensor.shape)
    return total


def _clip(network, tensor):
    value, low, high = map(network.number, tensor.inputs)
    above = combine(network, "maximum", value, low, tensor.shape)
    return combine(network, "minimum", above, high, tensor.shape)


def _batch_norm(network, tensor):
    """Batch normalisation with known statistics is one scale and one offset a channel."""
    if tensor.get("is_training") or tensor.get("data_format") != "NHWC":
        raise UnsupportedError("with the statistics of the batch, or channels first")
    x, *known = tensor.inputs
    scale, offset, mean, variance = (one.constant().astype(np.float64) for one in known)
    scale = scale / np.sqrt(variance + tensor.get("epsilon"))
    scaled = combine(network, "mul", network.number(x), network.constant(scale), tensor.shape)
    return combine(network, "add", scaled, network.constant(offset - mean * scale), tensor.shape)


def _matmul(network, tensor):
    x, weights = tensor.inputs
    matrix = weights.constant()
    if tensor.get("transpose_a"):
        raise UnsupportedError("with a transposed input")
    matrix = matrix.T if tensor.get("transpose_b") else matrix
    return network.emit("matmul", [network.number(x), network.constant(matrix)], tensor.shape)


def _concat(network, tensor):
    *parts, axis = tensor.inputs
    return network.emit("concat", [network.number(part) for part in parts], tensor.shape,
                        axis=int(axis.constant()) % len(tensor.shape))


def _reduce(network, tensor):
    x, axes = tensor.inputs
    axes = sorted({int(axis) % len(x.shape) for axis in np.ravel(axes.constant())})
    return network.emit("reduce", [network.number(x)], tensor.shape, axes=axes,
                        fn=REDUCTIONS[tensor.type])


def _softmax(network, tensor):
    return network.emit("softmax", [network.number(tensor.inputs[0])], tensor.shape)


LOWERINGS = {
    **dict.fromkeys(SAME_NUMBERS, _same), **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary), **dict.fromkeys(REDUCTIONS, _reduce),
    **CONVOLUTIONS, **MOVING, "IdentityN": _same_of_several, "LeakyRelu": _leaky_relu,
    "AddN": _add_all, "ClipByValue": _clip, "MatMul": _matmul, "FusedBatchNormV3": _batch_norm,
    "ConcatV2": _concat, "Softmax": _softmax,
}
