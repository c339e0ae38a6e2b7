"""The even background of images: how exactly it is met, and stray pixels on it."""

import numpy as np

from gan.data.background import around, difference_from, largest_around

VISIBLE = 40  # grey levels from which a pixel stands out from the background
LARGEST = 6  # pixels of a blob that counts as a speck
VALUES = 2_000_000  # pixels handled at a time


def background_metrics(images, background):
    """Return how much of images is background, and how many have stray pixels.

    Args:
        images: uint8 [N, H, W, C].
        background: uint8 [C], see `background_of`.

    Returns:
        dict: "background", the fraction of pixels that have exactly its colour;
        "specks", the fraction of images with at least one separate blob (of
        pixels that touch at a side or corner) of at most 6 pixels that differ
        from the background by more than 40 of 255 in some channel.
    """
    exact, specked = 0, 0
    count = max(1, VALUES // int(np.prod(images.shape[1:3])))
    for start in range(0, len(images), count):
        difference = difference_from(images[start : start + count], background)
        exact += int((difference == 0).sum())
        specked += int(has_small_blob(difference > VISIBLE).sum())
    pixels = len(images) * int(np.prod(images.shape[1:3]))
    return {"background": exact / pixels, "specks": specked / len(images)}


def has_small_blob(masks, largest=LARGEST):
    """Tell which masks hold a separate blob of at most `largest` pixels.

    Args:
        masks: bool [N, H, W]; pixels belong together that touch at a side or corner.
        largest: pixels.

    Returns:
        bool [N].
    """
    count, height, width = masks.shape
    short = np.min_scalar_type(height * width + 1)  # half the bytes take half the time
    numbers = np.arange(1, height * width + 1, dtype=short).reshape(height, width)
    labels = numbers * masks
    # Each pixel takes the largest label around it. A blob of n pixels has one
    # label after n - 1 rounds; larger ones need not have.
    for _ in range(largest):
        labels = largest_around(labels) * masks
    greatest = largest_around(labels)
    least = around(np.where(masks, labels, numbers[-1, -1] + 1), np.minimum,
                   numbers[-1, -1] + 1)
    unfinished = masks & ((greatest != labels) | (least != labels))
    keys = labels + np.arange(count, dtype=np.int64)[:, None, None] * (height * width + 1)
    cells = count * (height * width + 1)
    sizes = np.bincount(keys[masks], minlength=cells)
    whole = np.bincount(keys[unfinished], minlength=cells) == 0
    return ((sizes > 0) & (sizes <= largest) & whole).reshape(count, -1).any(axis=1)

