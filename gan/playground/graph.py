"""Graph of a SavedModel's signature, with the value that every tensor has in one run.

The variables become constants and nested functions are inlined, so that what is left is one
graph from the inputs to the output. It is run once on a batch of one, which gives every shape
and every value that does not depend on the inputs.
"""

from dataclasses import dataclass

import numpy as np


class UnsupportedError(Exception):
    """A form of an operation that the page cannot compute; the message says which."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a graph.

    Attributes:
        operation: the TensorFlow `Operation` that makes it.
        index: which of the operation's outputs it is.
        value: array, what it was in the run.
        inputs: list of `Tensor`, of the operation.
        depends: whether it changes with the inputs of the graph.
    """

    operation: object
    index: int
    value: np.ndarray
    inputs: list
    depends: bool

    @property
    def type(self):
        """The operation's type, such as "MatMul"."""
        return self.operation.type

    @property
    def shape(self):
        """Tuple of int; the first axis of a batch is 1."""
        return self.value.shape

    def get(self, name):
        """Return an attribute of the operation; strings as str."""
        value = self.operation.get_attr(name)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self):
        """Return the value, which must not depend on the inputs; else `UnsupportedError`."""
        if self.depends:
            raise UnsupportedError("with computed weights or settings")
        return self.value


def read_signature(signature, arguments):
    """Freeze a signature and run it on a batch of one.

    Args:
        signature: of a loaded SavedModel, with one output.
        arguments: dict of name → array of one row, each input of the signature.

    Returns:
        `(output, frozen)`: the output `Tensor`, whose `inputs` lead to all others, and the
        frozen function of one row.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    specs = {name: tf.TensorSpec(array.shape, array.dtype, name=name)
             for name, array in arguments.items()}
    traced = tf.function(lambda **given: next(iter(signature(**given).values())), autograph=False)
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function(**specs))
    (end,) = frozen.outputs
    order = _inputs_first(end, lambda tensor: tensor.op.inputs)
    fed = [tf.constant(arguments[tensor.op.name]) for tensor in frozen.inputs]
    values = frozen.prune(frozen.inputs, order)(*fed)
    tensors = {}
    for one, value in zip(order, values, strict=True):
        inputs = [tensors[id(other)] for other in one.op.inputs]
        # A shape is known, whatever it is the shape of.
        depends = one.op.type == "Placeholder" or (
            one.op.type != "Shape" and any(other.depends for other in inputs))
        tensors[id(one)] = Tensor(one.op, one.value_index, value.numpy(), inputs, depends)
    return tensors[id(end)], frozen


def with_constants(frozen, output, change):
    """Return the frozen function with other constants.

    Args:
        frozen, output: see `read_signature`.
        change: function of a constant, float32 array → float32 array.

    Returns:
        A function of a dict of name → array of one row, that returns the output.
    """
    import tensorflow as tf

    dependent = _inputs_first(output, lambda tensor: [
        one for one in tensor.inputs if one.depends])
    met = list({id(one): one for tensor in dependent for one in tensor.inputs
                if not one.depends and one.value.dtype == np.float32}.values())
    run = frozen.prune(frozen.inputs + [one.operation.outputs[one.index] for one in met],
                       frozen.outputs[0])
    constants = [tf.constant(change(one.value)) for one in met]

    def compute(arguments):
        given = [tf.constant(arguments[tensor.op.name]) for tensor in frozen.inputs]
        return run(*given, *constants).numpy()

    return compute


def _inputs_first(end, inputs_of):
    """Return what `end` is computed from and itself, inputs before outputs; not recursive."""
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        tensor, ready = stack.pop()
        if ready:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack += [(other, False) for other in inputs_of(tensor)]
    return order
