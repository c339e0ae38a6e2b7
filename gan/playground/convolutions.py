"""The convolutions in the page's operations, and averages and maxima over windows.

A convolution of the page has a kernel [height, width, in, out], a stride and
the rows and columns of zeros above and left of its input; what is beyond the
other two edges follows from the size of the result.
"""

import numpy as np

from gan.playground.frozen import UnsupportedError


def _convolution(network, tensor):
    x, kernel = tensor.inputs
    weights = kernel.constant()
    if weights.shape[2] != x.shape[-1]:
        raise UnsupportedError("in groups")
    return network.emit("conv", [network.number(x), network.constant(weights)], tensor.shape,
                        **_geometry(tensor, x.shape, tensor.shape, weights.shape))


def _transposed(network, tensor):
    _, kernel, x = tensor.inputs  # the gradient of a convolution from the result's shape to x's
    weights = kernel.constant().transpose(0, 1, 3, 2)
    return network.emit("transposed", [network.number(x), network.constant(weights)],
                        tensor.shape, **_geometry(tensor, tensor.shape, x.shape, weights.shape))


def _depthwise(network, tensor):
    x, kernel = tensor.inputs
    weights = kernel.constant()
    return network.emit("depthwise", [network.number(x), network.constant(weights)], tensor.shape,
                        **_geometry(tensor, x.shape, tensor.shape, weights.shape))


def _average(network, tensor):
    """An average over windows that lie inside is a depthwise convolution with equal weights."""
    (x,) = tensor.inputs
    _, height, width, _ = tensor.get("ksize")
    weights = np.full((height, width, x.shape[-1], 1), 1 / (height * width))
    settings = _geometry(tensor, x.shape, tensor.shape, weights.shape)
    if settings["padding"] != [0, 0]:
        raise UnsupportedError("over windows that reach beyond the edge")
    return network.emit("depthwise", [network.number(x), network.constant(weights)], tensor.shape,
                        **settings)


def _maximum(network, tensor):
    """A maximum over windows is one along each axis, of places that are shifted and compared."""
    (x,) = tensor.inputs
    window = tensor.get("ksize")[1:3]
    settings = _geometry(tensor, x.shape, tensor.shape, window)
    number = network.number(x)
    for axis, length, stride, before in zip((1, 2), window, settings["stride"],
                                            settings["padding"], strict=True):
        shape = list(network.shapes[number])
        old, shape[axis] = shape[axis], tensor.shape[axis]
        axes = [list(range(size)) for size in network.shapes[number]]
        shifted = []
        for offset in range(length):
            places = np.arange(shape[axis]) * stride + offset - before
            # Beyond the edge the nearest place is read once more, which changes no maximum.
            axes[axis] = np.clip(places, 0, old - 1).tolist()
            shifted.append(network.emit("take", [number], shape, axes=list(axes), fill=0.0))
        number, *others = shifted
        for other in others:
            number = network.emit("binary", [number, other], shape, fn="maximum")
    return number


def _geometry(tensor, large, small, kernel):
    """Return dict of stride and padding.

    Args:
        tensor: the result.
        large, small: shapes of the sides that the window moves over and that
            has one place for each step.
        kernel: shape of the weights.
    """
    layout, strides = tensor.get("data_format"), tensor.get("strides")
    if layout != "NHWC" or len(large) != 4:
        raise UnsupportedError("with channels first")
    if tensor.type not in ("AvgPool", "MaxPool") and set(tensor.get("dilations")) != {1}:
        raise UnsupportedError("with dilation")
    padding, stride = tensor.get("padding"), strides[1:3]
    if padding == "EXPLICIT":
        before = tensor.get("explicit_paddings")[2:6:2]
    elif padding == "SAME":  # the larger half is at the end
        before = [max((small[axis + 1] - 1) * stride[axis] + kernel[axis] - large[axis + 1], 0) // 2
                  for axis in (0, 1)]
    else:
        before = [0, 0]
    return {"stride": [int(step) for step in stride], "padding": [int(zeros) for zeros in before]}


CONVOLUTIONS = {
    "Conv2D": _convolution, "Conv2DBackpropInput": _transposed,
    "DepthwiseConv2dNative": _depthwise, "AvgPool": _average, "MaxPool": _maximum,
}
