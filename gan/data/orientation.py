"""Images described by the directions of their edges.

Clusters of raw pixels mix what overlaps: a slanted 4 lies nearer to a slanted 9
than to an upright 4. Histograms of oriented gradients (Dalal & Triggs 2005)
compare strokes instead and forgive small shifts.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

THREADS = 4  # parts described at a time
BINS = 8  # directions, 45 degrees apart
PART_PIXELS = 4096 * 28 * 28  # described at a time


def orientation_histograms(images):
    """Describe images by how much edge of which direction lies where.

    The image is cut into cells of 4 pixels (more for sides above 32). Each
    pixel's gradient is shared between the two nearest directions of its cell,
    each cell gives half of its histogram to its neighbours, and the root makes
    distances those of Hellinger.

    Args:
        images: uint8 [N, H, W, C], H = W.

    Returns:
        float32 [N, cells * cells * 8], not negative.
    """
    cell = 4 * -(-images.shape[1] // 32)
    part = max(1, PART_PIXELS // images.shape[1] ** 2)
    starts = range(0, len(images), part)
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy lets go of the lock in its long loops
        return np.concatenate(list(pool.map(
            lambda start: _describe(images[start : start + part], cell), starts)))


def _describe(images, cell):
    count, size = images.shape[:2]
    # The mean over colours: what has one brightness has no edges here.
    grey = np.pad(images.mean(axis=3, dtype=np.float32) / 255, ((0, 0), (1, 1), (1, 1)))
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    edges = np.flatnonzero((across != 0) | (down != 0))
    across, down = across.ravel()[edges], down.ravel()[edges]
    length = np.hypot(across, down)
    direction = np.arctan2(down, across) * (BINS / (2 * np.pi))
    direction[direction < 0] += BINS  # the remainder by BINS, in less time
    whole = np.floor(direction)
    fraction = direction - whole
    lower = whole.astype(np.int64) % BINS
    cells = -(-size // cell)
    side = np.arange(size) // cell
    cell_of = (np.arange(count)[:, None, None] * cells + side[:, None]) * cells + side
    place = cell_of.ravel()[edges] * BINS
    total = count * cells * cells * BINS
    histogram = np.bincount(place + lower, length * (1 - fraction), total)
    histogram += np.bincount(place + (lower + 1) % BINS, length * fraction, total)
    histogram = histogram.astype(np.float32).reshape(count, cells, cells, BINS)
    wide = np.pad(histogram, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    return np.sqrt(histogram / 2 + neighbours / 8).reshape(count, -1)
