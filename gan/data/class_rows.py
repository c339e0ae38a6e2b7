"""Which class stands where on a sheet of pictures."""

import math

import numpy as np


def class_rows(classes, count):
    """Choose the class of each picture on a sheet.

    The sheet has ceil(sqrt(count)) columns and is filled row by row.

    - A count that the classes divide gives each class as many pictures.
    - Otherwise each row shows one class, and the first classes have a row more
      than the last, as long as there are rows for all classes.
    - With more classes than rows, the first classes have a picture more.
    - With more classes than pictures, the pictures show classes at even steps.

    Args:
        classes: the class numbers that occur, int [K], in any order, repeated or not.
        count: pictures on the sheet.

    Returns:
        int [count], sorted.
    """
    classes = np.unique(classes)
    if count < len(classes):
        return classes[np.arange(count) * len(classes) // count]
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    if count % len(classes) == 0 or rows < len(classes):
        return np.sort(np.resize(classes, count))
    return np.sort(np.resize(classes, rows)).repeat(columns)[:count]
