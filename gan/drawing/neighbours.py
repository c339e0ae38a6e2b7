"""A sheet of images, each with others beside it that it is to be compared with."""

import numpy as np

from gan.drawing.images import BACKGROUND, GAP, SHEET_PIXELS, enlarge, grid


def neighbour_sheet(halves):
    """Draw images in a column, and to the right of each, after a gap, others.

    Args:
        halves: list of (uint8 [R, H, W, C], uint8 [R, K, H, W, C]): images and
            those beside each. They are drawn side by side, after a wider gap.

    Returns:
        uint8 [height, width, C], enlarged by the whole number that brings it near
        1,000 pixels.
    """
    rows = max(len(images) for images, _ in halves)
    parts = []
    for images, others in halves:
        size, channels = images.shape[2:]
        parts += [_column(images, 1, rows), _bar(size // 4, rows, size, channels),
                  _column(others.reshape(-1, *others.shape[2:]), others.shape[1], rows),
                  _bar(size, rows, size, channels)]
    sheet = np.concatenate(parts[:-1], axis=1)
    return enlarge(sheet, max(1, SHEET_PIXELS // max(sheet.shape[:2])))


def _column(images, columns, rows):
    """A `grid` of so many rows, the last ones empty if there are fewer images."""
    found = grid(images, columns)
    missing = (rows - len(images) // columns) * (images.shape[1] + GAP)
    return np.pad(found, ((0, missing), (0, 0), (0, 0)), constant_values=BACKGROUND)


def _bar(width, rows, size, channels):
    return np.full((rows * (size + GAP) + GAP, width, channels), BACKGROUND, np.uint8)
