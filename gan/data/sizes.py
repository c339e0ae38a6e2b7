"""Which images count as pictures: those that need more of the networks than small drawings do."""

SMALL = 32  # pixels, up to which grey images are small drawings


def are_pictures(shape):
    """Tell whether images of a shape (H, W, C) are pictures: in colour, or of more than 32 pixels.

    Args:
        shape: of one image.
    """
    size, _, channels = shape
    return channels == 3 or size > SMALL
