"""How many principal components within their clusters the networks are told of images."""

COMPONENTS, COMPONENTS_OF_PICTURES = 8, 16  # at most
SMALL = 32  # pixels, up to which grey images are no pictures


def components_for(dataset, wanted):
    """Return how many components images get: as many as wanted, or the default.

    Args:
        dataset: a `Dataset`; pictures are images in colour or of more than 32 pixels.
        wanted: a number, or None for the default: 8, or 16 for pictures.
    """
    if wanted is not None:
        return wanted
    size, _, channels = dataset.sample_shape
    return COMPONENTS_OF_PICTURES if channels == 3 or size > SMALL else COMPONENTS


def within_latent(wanted, latent_dim):
    """Return how many components are wanted, at most half of a latent vector.

    Args:
        wanted: a number, or None for the default.
        latent_dim: length of a latent vector.

    Returns:
        A number, or None where the default is never more.
    """
    most = latent_dim // 2
    if wanted is None and most >= COMPONENTS_OF_PICTURES:
        return None
    return min(most, COMPONENTS if wanted is None else wanted)
