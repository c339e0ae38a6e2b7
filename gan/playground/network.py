"""A generator as a short list of operations with their weights, for the page's interpreter."""

import numpy as np

from gan.common.errors import UserError
from gan.playground.frozen import UnsupportedError
from gan.playground.lowering import LOWERINGS

LEAST_AXES_OF_FLOAT16 = 2  # vectors, few as they are, stay float32


class Network:
    """The list, as it grows.

    A tensor is a number; the list says of each whether it is an input, a
    constant or the result of an operation, and its shape.

    Attributes:
        shapes: list of lists, the shape of each tensor.
        inputs: dict of name → number.
        constants: dict of number → array, float32.
        operations: list of dict with "op", "in" (numbers), "out" (a number) and
            what else the operation needs, all of it JSON.
    """

    def __init__(self, output):
        """
        Args:
            output: `Tensor`, see `read_signature`.

        Raises:
            UserError: for an operation that the page does not know.
        """
        self.shapes, self.inputs, self.constants, self.operations = [], {}, {}, []
        self._numbers = {}
        self.output = self._lower(output)

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
        """List an operation and return the number of its result.

        Args:
            op: its name in the page.
            inputs: list of numbers.
            shape: of the result.
            **settings: what else it needs.
        """
        result = self._new(shape)
        self.operations.append({"op": op, "in": inputs, "out": result, **settings})
        return result

    def _new(self, shape):
        self.shapes.append([int(length) for length in shape])
        return len(self.shapes) - 1

    def _lower(self, output):
        """List everything that `output` is computed from; without recursion, as it may be long."""
        stack = [(output, False)]
        while stack:
            tensor, ready = stack.pop()
            if id(tensor) in self._numbers or not tensor.depends:
                continue
            if ready:
                self._numbers[id(tensor)] = self._one(tensor)
            else:
                stack += [(tensor, True), *((other, False) for other in tensor.inputs)]
        return self.number(output)

    def _one(self, tensor):
        if tensor.type == "Placeholder":
            number = self.inputs[tensor.operation.name] = self._new(tensor.shape)
            return number
        if tensor.value.dtype != np.float32 or tensor.type not in LOWERINGS:
            raise _unknown(f"{tensor.type} of {tensor.value.dtype}", tensor)
        try:
            return LOWERINGS[tensor.type](self, tensor)
        except UnsupportedError as error:
            raise _unknown(f"{tensor.type} {error}", tensor) from error


def _unknown(what, tensor):
    return UserError(f"the page knows no operation {what}, which the generator uses at "
                     f"{tensor.operation.name}")


def rounded(array):
    """Return a constant as it is after having been stored as float16: float32."""
    with np.errstate(over="ignore"):  # infinity where it is too large, which a check will see
        return (array.astype(np.float16).astype(np.float32)
                if array.ndim >= LEAST_AXES_OF_FLOAT16 else array)


def pack(network, half):
    """Return the network as JSON and bytes.

    Args:
        network: `Network`.
        half: whether weights are float16.

    Returns:
        `(description, weights)`: dict for JSON, and bytes; the description has
        "constants" with the place of each tensor in the bytes. Little-endian.
    """
    places, parts, start = [], [], 0
    # The longer ones first, so that each begins at a multiple of its own length.
    narrow = {number: half and array.ndim >= LEAST_AXES_OF_FLOAT16
              for number, array in network.constants.items()}
    for number in sorted(narrow, key=narrow.get):
        array = network.constants[number].astype("<f2" if narrow[number] else "<f4")
        places.append({"tensor": number, "half": narrow[number], "start": start,
                       "count": array.size})
        parts.append(array.tobytes())
        start += array.nbytes
    return {"shapes": network.shapes, "inputs": network.inputs, "output": network.output,
            "operations": network.operations, "constants": places}, b"".join(parts)
