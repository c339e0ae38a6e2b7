"""Which images count as pictures: those that need more of the networks than small drawings do."""

SMALL = 32  # pixels, up to which grey images are small drawings
IMAGES_PER_CLUSTER = 16  # at least, or what is drawn for one is too much alike
IMAGES_PER_COMPONENT = 250  # at least


def are_pictures(shape):
    """Tell whether images of a shape (H, W, C) are pictures: in colour, or of more than 32 pixels.

    Args:
        shape: of one image.
    """
    size, _, channels = shape
    return channels == 3 or size > SMALL
