"""The even background of images: how exactly it is met, and stray pixels on it."""

import numpy as np

LEAST_SHARE = 0.25  # of all pixels that must have one colour for it to be a background
SAMPLE = 2_000  # images that the background is looked for in
VISIBLE = 40  # grey levels from which a pixel stands out from the background
LARGEST = 6  # pixels of a blob that counts as a speck
VALUES = 2_000_000  # pixels handled at a time


def background_of(images):
    """Find the colour that most pixels of a data set have.

    Args:
        images: uint8 [N, H, W, C].

    Returns:
        uint8 [C], or None where no colour has a quarter of all pixels.
    """
    chosen = np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int)
    pixels = np.ascontiguousarray(images[chosen]).reshape(-1, images.shape[-1])
    # A colour as one number: uniques of rows would take many times longer.
    weights = 256 ** np.arange(pixels.shape[1], dtype=np.int64)
    colours, counts = np.unique(pixels @ weights, return_counts=True)
    if counts.max() < LEAST_SHARE * len(pixels):
        return None
    return (colours[counts.argmax()] // weights % 256).astype(np.uint8)


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
        part = images[start : start + count].astype(np.int16)
        difference = np.abs(part - background.astype(np.int16)).max(axis=-1)
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
    numbers = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    labels = np.where(masks, numbers, 0)
    # Each pixel takes the largest label around it. A blob of n pixels has one
    # label after n - 1 rounds; larger ones need not have.
    for _ in range(largest):
        labels = np.where(masks, _around(labels, np.maximum), 0)
    largest_around = _around(labels, np.maximum)
    least_around = _around(np.where(masks, labels, numbers[-1, -1] + 1), np.minimum,
                           edge=numbers[-1, -1] + 1)
    unfinished = masks & ((largest_around != labels) | (least_around != labels))
    keys = labels + np.arange(count, dtype=np.int64)[:, None, None] * (height * width + 1)
    cells = count * (height * width + 1)
    sizes = np.bincount(keys[masks], minlength=cells)
    whole = np.bincount(keys[unfinished], minlength=cells) == 0
    return ((sizes > 0) & (sizes <= largest) & whole).reshape(count, -1).any(axis=1)


def _around(values, choose, edge=0):
    """The largest or smallest value among each pixel and its eight neighbours."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=edge)
    rows = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
