"""What moves numbers without changing them, and what blends neighbours along an axis.

`take` reads for each axis a list of places, a negative one for a filled place;
`permute` changes the order of axes; `blend` computes along one axis each place
from a few others, each with its weight.
"""

import numpy as np

from gan.playground.frozen import UnsupportedError

MOST_TAPS = 64  # neighbours that one place is blended from


def _slice(network, tensor):
    """Slices are read from what TensorFlow itself does with each axis' places."""
    x, *settings = tensor.inputs
    return _taken(network, tensor, x, [
        _follow(tensor, axis, [one.constant() for one in settings])
        for axis in range(len(x.shape))])


def _follow(tensor, axis, settings):
    """Return the places of an axis that a slice reads, by slicing the places themselves."""
    import tensorflow as tf

    shape = tensor.inputs[0].shape
    places = np.arange(shape[axis]).reshape([-1 if one == axis else 1 for one in range(len(shape))])
    moved = _call(tf, tensor, np.broadcast_to(places, shape), settings)
    return np.unique(moved)[:: -1 if moved.ravel()[0] > moved.ravel()[-1] else 1]


def _call(tf, tensor, x, settings):
    if tensor.type == "Slice":
        return tf.slice(x, *settings).numpy()
    if tensor.type == "ReverseV2":
        return tf.reverse(x, *settings).numpy()
    masks = {name: tensor.get(name) for name in (
        "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")}
    return tf.strided_slice(x, *settings, **masks).numpy()


def _taken(network, tensor, x, axes, fill=0.0):
    """List a `take`, and a new shape where the result has lost or gained axes."""
    axes = [[int(place) for place in places] for places in axes]
    shape = [len(places) for places in axes]
    number = network.emit("take", [network.number(x)], shape, axes=axes, fill=float(fill))
    if shape == list(tensor.shape):
        return number
    return network.emit("reshape", [number], tensor.shape)


def _pad(network, tensor):
    x, widths, *fill = tensor.inputs
    widths = widths.constant()
    mode = {"SYMMETRIC": "symmetric", "REFLECT": "reflect"}[tensor.get("mode")] if (
        tensor.type == "MirrorPad") else None
    axes = []
    for length, (before, after) in zip(x.shape, widths, strict=True):
        places = np.arange(length)
        axes.append(np.pad(places, (before, after), mode) if mode else
                    np.pad(places, (before, after), constant_values=-1))
    return _taken(network, tensor, x, axes, fill[0].constant() if fill else 0)


def _split(network, tensor):
    if tensor.type == "Split":
        axis, x = tensor.inputs
        start = tensor.index * tensor.shape[int(axis.constant())]
    else:
        x, sizes, axis = tensor.inputs
        start = int(sizes.constant()[: tensor.index].sum())
    axis = int(axis.constant()) % len(x.shape)
    axes = [range(length) for length in x.shape]
    axes[axis] = range(start, start + tensor.shape[axis])
    return _taken(network, tensor, x, axes)


def _gather(network, tensor):
    x, places, axis = tensor.inputs
    axis = int(axis.constant()) % len(x.shape)
    axes = [range(length) for length in x.shape]
    axes[axis] = np.ravel(places.constant()) % x.shape[axis]
    return _taken(network, tensor, x, axes)


def _tile(network, tensor):
    x, times = tensor.inputs
    return _taken(network, tensor, x, [
        np.tile(np.arange(length), count)
        for length, count in zip(x.shape, times.constant(), strict=True)])


def _broadcast(network, tensor):
    (x, _), shape = tensor.inputs, tensor.shape
    missing = len(shape) - len(x.shape)
    number = network.emit("reshape", [network.number(x)], [1] * missing + list(x.shape))
    own = network.shapes[number]
    axes = [[0] * length if one == 1 else list(range(length))
            for one, length in zip(own, shape, strict=True)]
    return network.emit("take", [number], shape, axes=axes, fill=0.0)


def _transpose(network, tensor):
    x, order = tensor.inputs
    return network.emit("permute", [network.number(x)], tensor.shape,
                        order=[int(axis) for axis in order.constant()])


def _depth_and_space(network, tensor):
    """Blocks of places become channels, or the other way round."""
    (x,) = tensor.inputs
    if tensor.get("data_format") != "NHWC":
        raise UnsupportedError("with channels first")
    size, (rows, height, width, channels) = tensor.get("block_size"), x.shape
    if tensor.type == "DepthToSpace":
        parted = [rows, height, width, size, size, channels // size**2]
        order = [0, 1, 3, 2, 4, 5]
    else:
        parted = [rows, height // size, size, width // size, size, channels]
        order = [0, 1, 3, 2, 4, 5]
    number = network.emit("reshape", [network.number(x)], parted)
    number = network.emit("permute", [number], [parted[axis] for axis in order], order=order)
    return network.emit("reshape", [number], tensor.shape)


def _resize(network, tensor):
    """Resizing is linear and separable: each axis is one matrix, told by what becomes of units."""
    number = network.number(tensor.inputs[0])
    for axis in (1, 2):
        matrix = _resizing_matrix(tensor, axis)
        shape = list(network.shapes[number])
        shape[axis] = len(matrix)
        number = blend(network, number, axis, matrix, shape)
    return number


def _resizing_matrix(tensor, axis):
    """Return float32 [new length, old length] for an axis of an image."""
    import tensorflow as tf

    old, new = tensor.inputs[0].shape[axis], tensor.shape[axis]
    units = np.eye(old, dtype=np.float32)[None, :, None, :]
    settings = {name: tensor.get(name) for name in ("align_corners", "half_pixel_centers")}
    resized = getattr(tf.raw_ops, tensor.type)(images=units, size=[new, 1], **settings)
    return resized.numpy()[0, :, 0, :]


def blend(network, number, axis, matrix, shape):
    """List the product of an axis with a sparse matrix and return its number.

    Args:
        network: `Network`.
        number: of the tensor.
        axis: which axis.
        matrix: float [new length, old length].
        shape: of the result.
    """
    taps = int((matrix != 0).sum(axis=1).max())
    if taps > MOST_TAPS:
        raise UnsupportedError(f"that blends {taps} places, more than {MOST_TAPS}")
    places = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
    weights = np.take_along_axis(matrix, places, axis=1)
    return network.emit("blend", [number], shape, axis=axis, places=places.tolist(),
                        weights=[[round(float(one), 7) for one in row] for row in weights])


MOVING = {
    "Slice": _slice, "StridedSlice": _slice, "ReverseV2": _slice, "Pad": _pad, "PadV2": _pad,
    "MirrorPad": _pad, "Split": _split, "SplitV": _split, "GatherV2": _gather, "Tile": _tile,
    "BroadcastTo": _broadcast, "Transpose": _transpose, "DepthToSpace": _depth_and_space,
    "SpaceToDepth": _depth_and_space, "ResizeNearestNeighbor": _resize,
    "ResizeBilinear": _resize, "ResizeBicubic": _resize,
}
