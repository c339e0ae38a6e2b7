"""Labels of any usual kind → class numbers without gaps, and the classes' names."""

import numpy as np

from gan.common.errors import UserError

MAX_CLASSES = 1000
LISTED = 5  # labels that a message names


def number_labels(labels, count, where):
    """Number the classes 0, 1, ... in the order of their labels.

    Args:
        labels: [N] or [N, 1] whole numbers from 0 up (of any type) or strings,
            or one-hot rows [N, K].
        count: N, how many there must be.
        where: the array's place, for messages.

    Returns:
        `(numbers, values)`: int32 [N] in [0, K), and the K labels that they
        stand for, sorted, a list of int or of str.

    Raises:
        UserError: for labels that cannot be understood without guessing.
    """
    values, numbers = np.unique(_values(labels, count, where), return_inverse=True)
    if len(values) > MAX_CLASSES:
        raise UserError(f"{where}: expected at most {MAX_CLASSES} classes, "
                        f"got: {len(values)} different labels")
    if values.dtype.kind == "S":
        values, numbers = _decoded(values, numbers)
    return numbers.reshape(-1).astype(np.int32), values.tolist()


def number_test_labels(labels, count, where, values):
    """Number labels as those of the training images are numbered.

    Args:
        labels, count, where: as for `number_labels`.
        values: the training images' labels, as `number_labels` returned them.

    Returns:
        int32 [N] in [0, len(values)).

    Raises:
        UserError: also for labels that no training image has.
    """
    numbers, own = number_labels(labels, count, where)
    places = {value: place for place, value in enumerate(values)}
    strange = [value for value in own if value not in places]
    if strange:
        more = ", ..." if len(strange) > LISTED else ""
        raise UserError(f"{where}: expected labels that occur among the training labels, "
                        f"got: {', '.join(map(str, strange[:LISTED]))}{more}")
    return np.array([places[value] for value in own], np.int32)[numbers]


def _values(labels, count, where):
    """Return [N] whole numbers from 0 up, or strings."""
    if labels.shape not in ((count,), (count, 1)):
        return _from_one_hot(labels, count, where)
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        return labels
    low, high = labels.min(), labels.max()
    if labels.dtype.kind == "f":
        low, high = float(low), float(high)  # float16 has no 2**53
        if not (-(2**53) < low <= high < 2**53 and (labels == np.rint(labels)).all()):
            raise UserError(f"{where}: expected whole numbers, strings or one-hot rows, got: "
                            f"{labels.dtype} from {low:g} to {high:g} with fractions")
        labels = labels.astype(np.int64)
    if low < 0:
        raise UserError(f"{where}: expected numbers from 0 up, got: {low:g} to {high:g}; add 1 "
                        "if they are classes, leave the images out if they have none")
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _from_one_hot(labels, count, where):
    if labels.ndim != 2 or len(labels) != count:
        raise UserError(f"{where}: expected one for each of {count} images, "
                        f"got: {list(labels.shape)}")
    if (labels.dtype.kind in "US" or not np.isin(labels, (0, 1)).all()
            or (np.count_nonzero(labels, axis=1) != 1).any()):
        raise UserError(f"{where}: expected one label an image or one-hot rows (a single 1 in "
                        f"each), got: {labels.dtype} {list(labels.shape)}; probabilities become "
                        "labels with y.argmax(axis=1)")
    return labels.argmax(axis=1)


def _decoded(values, numbers):
    """Decode the names of classes, as decoding all labels would take four times their memory."""
    names, place = np.unique(np.char.decode(values, "utf-8", "replace"), return_inverse=True)
    return names, place[numbers]
