"""Generator as a list of operations with their weights, for the page's interpreter.

`LOWERINGS` has every TensorFlow operation that the generators of `gan.models` export. All
arrays have channels last; a batch is one.
"""

from dataclasses import dataclass

import numpy as np

from gan.common.errors import UserError

LEAST_AXES_OF_FLOAT16 = 2  # vectors, few as they are, stay float32
# The one value that the page knows of attributes of operations.
KNOWN = {"data_format": "NHWC", "is_training": False, "transpose_a": False, "transpose_b": False,
         "dilations": [1, 1, 1, 1], "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0,
         "align_corners": False, "half_pixel_centers": True}


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a graph, with the value that it has in one run on a batch of one."""

    operation: object  # the TensorFlow `Operation` that makes it
    value: np.ndarray
    inputs: list  # of `Tensor`, of the operation
    depends: bool  # whether it changes with the inputs of the graph

    @property
    def type(self):
        return self.operation.type

    @property
    def shape(self):
        return self.value.shape

    def get(self, name):
        """Return an attribute of the operation; strings as str."""
        value = self.operation.get_attr(name)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self):
        """Return the value, which must not depend on the inputs; else `NotImplementedError`."""
        if self.depends:
            raise NotImplementedError("with computed weights or settings")
        return self.value


def read_signature(signature, arguments):
    """Return the `Tensor` objects of a SavedModel's signature, inputs first, the output last.

    Variables become constants and nested functions are inlined, which leaves one graph. It is
    run once on `arguments`, dict of name → array of one row: that gives every shape and every
    value that does not depend on the inputs.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    specs = {name: tf.TensorSpec(array.shape, array.dtype, name=name)
             for name, array in arguments.items()}
    traced = tf.function(lambda **given: next(iter(signature(**given).values())), autograph=False)
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function(**specs))
    needed, order = {frozen.outputs[0].name}, []
    for operation in reversed(frozen.graph.get_operations()):  # which has inputs first
        for tensor in operation.outputs:
            if tensor.name in needed:
                order.insert(0, tensor)
                needed |= {other.name for other in operation.inputs}
    values = frozen.prune(frozen.inputs, order)(
        *(tf.constant(arguments[tensor.op.name]) for tensor in frozen.inputs))
    found = {}
    for tensor, value in zip(order, values, strict=True):
        inputs = [found[other.name] for other in tensor.op.inputs]
        # A shape is known, whatever it is the shape of.
        depends = tensor.op.type == "Placeholder" or (
            tensor.op.type != "Shape" and any(other.depends for other in inputs))
        found[tensor.name] = Tensor(tensor.op, value.numpy(), inputs, depends)
    return list(found.values())


class Network:
    """Operations as they are listed; a tensor is a number."""

    def __init__(self, tensors):
        """Take what `read_signature` returns; `UserError` for an operation unknown to the page."""
        self.shapes = []  # of each tensor: an input, a constant or a result
        self.inputs = {}  # name → number
        self.constants = {}  # number → float32 array
        self.operations = []  # dict for JSON: "op", "in" (numbers), "out" (a number), settings
        self._numbers = {}
        for tensor in tensors:
            if tensor.depends:
                self._numbers[id(tensor)] = self._lower(tensor)
        self.output = self._numbers[id(tensors[-1])]

    def number(self, tensor):
        """Return the number of a tensor; a constant is listed when it is first asked for."""
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = self.constant(tensor.value)
        return self._numbers[id(tensor)]

    def constant(self, array):
        """List an array of numbers and return its number."""
        number = self._new(array.shape)
        self.constants[number] = np.asarray(array, np.float32)
        return number

    def emit(self, op, inputs, shape, **settings):
        """List an operation of the page and return the number of its result."""
        result = self._new(shape)
        self.operations.append({"op": op, "in": inputs, "out": result, **settings})
        return result

    def binary(self, fn, first, second, shape):
        """List a function of two tensors and return its number; the smaller one is repeated."""
        inputs = [self._repeated(number, shape) for number in (first, second)]
        return self.emit("binary", inputs, shape, fn=fn)

    def _repeated(self, number, shape):
        """Repeat a tensor along the axes where it is 1 long, unless the page does it by itself."""
        own = self.shapes[number]
        count = int(np.prod(own))
        if count == 1 or own == list(shape) or (own and count == own[-1] == shape[-1]):
            return number  # one number, or one for each channel
        if len(own) != len(shape):
            raise NotImplementedError("of arrays of different rank")
        axes = [[0] * length if one == 1 else list(range(length))
                for one, length in zip(own, shape, strict=True)]
        return self.emit("take", [number], shape, axes=axes)

    def _new(self, shape):
        self.shapes.append([int(length) for length in shape])
        return len(self.shapes) - 1

    def _lower(self, tensor):
        if tensor.type == "Placeholder":
            number = self.inputs[tensor.operation.name] = self._new(tensor.shape)
            return number
        try:
            if tensor.value.dtype != np.float32 or tensor.type not in LOWERINGS:
                raise NotImplementedError(f"of {tensor.value.dtype}")
            for name, value in KNOWN.items():
                if name in tensor.operation.node_def.attr and tensor.get(name) != value:
                    raise NotImplementedError(f"with {name} {tensor.get(name)}")
            return LOWERINGS[tensor.type](self, tensor)
        except NotImplementedError as error:
            raise UserError(f"the page knows no operation {tensor.type} {error}, which the "
                            f"generator uses at {tensor.operation.name}") from error


def _same(network, tensor):
    number = network.number(tensor.inputs[0])
    if network.shapes[number] == list(tensor.shape):
        return number
    return network.emit("reshape", [number], tensor.shape)


def _unary(network, tensor):
    settings = {"alpha": tensor.get("alpha")} if tensor.type == "LeakyRelu" else {}
    return network.emit("unary", [network.number(tensor.inputs[0])], tensor.shape,
                        fn=UNARY[tensor.type], **settings)


def _binary(network, tensor):
    return network.binary(BINARY[tensor.type], *map(network.number, tensor.inputs), tensor.shape)


def _batch_norm(network, tensor):
    """Batch normalization with known statistics is one scale and one offset per channel."""
    x, *known = tensor.inputs
    scale, offset, mean, variance = (one.constant().astype(np.float64) for one in known)
    scale = scale / np.sqrt(variance + tensor.get("epsilon"))
    scaled = network.binary("mul", network.number(x), network.constant(scale), tensor.shape)
    return network.binary("add", scaled, network.constant(offset - mean * scale), tensor.shape)


def _matmul(network, tensor):
    x, weights = tensor.inputs
    return network.emit("matmul", [network.number(x), network.constant(weights.constant())],
                        tensor.shape)


def _concat(network, tensor):
    *parts, axis = tensor.inputs
    return network.emit("concat", [network.number(part) for part in parts], tensor.shape,
                        axis=int(axis.constant()) % len(tensor.shape))


def _convolution(network, tensor):
    if tensor.type == "Conv2DBackpropInput":  # the gradient, from the result's shape to x's
        _, kernel, x = tensor.inputs
        weights, large, small = kernel.constant().transpose(0, 1, 3, 2), tensor.shape, x.shape
    else:
        x, kernel = tensor.inputs
        weights, large, small = kernel.constant(), x.shape, tensor.shape
    if weights.shape[2] != x.shape[-1]:
        raise NotImplementedError("in groups")
    return network.emit(CONVOLUTIONS[tensor.type], [network.number(x), network.constant(weights)],
                        tensor.shape, **_geometry(tensor, large, small, weights.shape))


def _max_pool(network, tensor):
    (x,), window = tensor.inputs, tensor.get("ksize")[1:3]
    return network.emit("max_pool", [network.number(x)], tensor.shape, window=list(window),
                        **_geometry(tensor, x.shape, tensor.shape, window))


def _geometry(tensor, large, small, window):
    """Return dict of stride, and padding above and to the left.

    The window moves over the side of shape `large`; `small` has one place for each step.
    """
    stride = [int(step) for step in tensor.get("strides")[1:3]]
    if tensor.get("padding") == "VALID":
        return {"stride": stride, "padding": [0, 0]}
    if tensor.get("padding") != "SAME":
        raise NotImplementedError("with explicit padding")
    return {"stride": stride, "padding": [  # the larger half is at the end
        max((small[axis + 1] - 1) * stride[axis] + int(window[axis]) - large[axis + 1], 0) // 2
        for axis in (0, 1)]}


def _channel_max(network, tensor):
    x, axes = tensor.inputs
    if tensor.shape != (*x.shape[:-1], 1) or [*np.ravel(axes.constant())] not in (
            [-1], [len(x.shape) - 1]):
        raise NotImplementedError("over other axes than the channels")
    return network.emit("channel_max", [network.number(x)], tensor.shape)


def _slice(network, tensor):
    x, *bounds = tensor.inputs
    begin_mask, end_mask = tensor.get("begin_mask"), tensor.get("end_mask")
    axes = [list(range(length)) for length in x.shape]
    for axis, (begin, end, step) in enumerate(zip(*(one.constant() for one in bounds),
                                                  strict=True)):
        axes[axis] = axes[axis][None if begin_mask >> axis & 1 else begin:
                                None if end_mask >> axis & 1 else end:step]
    return network.emit("take", [network.number(x)], tensor.shape, axes=axes)


def _bilinear(network, tensor):
    return network.emit("bilinear", [network.number(tensor.inputs[0])], tensor.shape)


UNARY = {"Relu": "relu", "LeakyRelu": "leaky_relu", "Tanh": "tanh", "Square": "square",
         "Abs": "abs"}
BINARY = {"AddV2": "add", "BiasAdd": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "div",
          "Maximum": "maximum", "Minimum": "minimum"}
CONVOLUTIONS = {"Conv2D": "conv", "Conv2DBackpropInput": "transposed",
                "DepthwiseConv2dNative": "depthwise"}
LOWERINGS = {
    **dict.fromkeys(("Identity", "Reshape"), _same), **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary), **dict.fromkeys(CONVOLUTIONS, _convolution),
    "FusedBatchNormV3": _batch_norm, "MatMul": _matmul, "ConcatV2": _concat,
    "MaxPool": _max_pool, "Max": _channel_max, "StridedSlice": _slice,
    "ResizeBilinear": _bilinear,
}


def rounded(array):
    """Return a constant as float32, after having been stored as float16."""
    with np.errstate(over="ignore"):  # infinity where it is too large, which a check will see
        return (array.astype(np.float16).astype(np.float32)
                if array.ndim >= LEAST_AXES_OF_FLOAT16 else array)


def pack(network, half):
    """Return the network as dict for JSON and its weights as bytes, float16 if `half`.

    The dict's "constants" have the place of each tensor in the bytes, which are little-endian.
    """
    places, weights = [], bytearray()
    for number, array in network.constants.items():
        narrow = half and array.ndim >= LEAST_AXES_OF_FLOAT16
        places.append({"tensor": number, "half": narrow, "start": len(weights),
                       "count": array.size})
        weights += array.astype("<f2" if narrow else "<f4").tobytes()
    return {"shapes": network.shapes, "inputs": network.inputs, "output": network.output,
            "operations": network.operations, "constants": places}, bytes(weights)
