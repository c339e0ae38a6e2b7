"""Graph of a SavedModel's signature, with the value that every tensor has in one run.

Variables become constants and nested functions are inlined, which leaves one graph from the
inputs to the output. It is run once on a batch of one, which gives every shape and every value
that does not depend on the inputs.
"""

from dataclasses import dataclass

import numpy as np


class UnsupportedError(Exception):
    """A form of an operation that the page cannot compute; the message says which."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a graph."""

    operation: object  # the TensorFlow `Operation` that makes it
    value: np.ndarray  # what it was in the run; the first axis of a batch is 1
    inputs: list  # of `Tensor`, of the operation
    depends: bool  # whether it changes with the inputs of the graph

    @property
    def type(self):
        """The operation's type, such as "MatMul"."""
        return self.operation.type

    @property
    def shape(self):
        """Tuple of int."""
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
        The output `Tensor`, whose `inputs` lead to all others.
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
    order = inputs_first(end, lambda tensor: tensor.op.inputs)
    values = frozen.prune(frozen.inputs, order)(
        *(tf.constant(arguments[tensor.op.name]) for tensor in frozen.inputs))
    tensors = {}
    for one, value in zip(order, values, strict=True):
        inputs = [tensors[id(other)] for other in one.op.inputs]
        # A shape is known, whatever it is the shape of.
        depends = one.op.type == "Placeholder" or (
            one.op.type != "Shape" and any(other.depends for other in inputs))
        tensors[id(one)] = Tensor(one.op, value.numpy(), inputs, depends)
    return tensors[id(end)]


def inputs_first(end, inputs_of):
    """Return what `end` is computed from and itself, inputs before outputs.

    Args:
        end: a tensor.
        inputs_of: function of a tensor that returns those that it is computed from.
    """
    order, seen, stack = [], set(), [(end, False)]
    while stack:  # without recursion, as the graph may be deep
        tensor, ready = stack.pop()
        if ready:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack += [(other, False) for other in inputs_of(tensor)]
    return order
