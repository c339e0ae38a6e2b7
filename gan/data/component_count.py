"""How many principal components within their clusters the networks are told of images."""

from gan.data.sizes import are_pictures

COMPONENTS, COMPONENTS_OF_PICTURES = 8, 16  # at most


def components_for(dataset, wanted):
    """Return how many components images get: as many as wanted, or the default.

    Args:
        dataset: a `Dataset`.
        wanted: a number, or None for the default: 8, or 16 for pictures, see `are_pictures`.
    """
    if wanted is not None:
        return wanted
    return COMPONENTS_OF_PICTURES if are_pictures(dataset.sample_shape) else COMPONENTS


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
