"""What tells two data sets apart: their images and labels, never their path."""

import hashlib

import numpy as np

PART = 4096  # images hashed at a time


def digest_images(images):
    """Return the `hashlib` object of images, uint8 [N, H, W, C]; one pass over the data."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for start in range(0, len(images), PART):
        digest.update(np.ascontiguousarray(images[start : start + PART]))
    return digest


def fingerprint_of(digest, labels):
    """Return 16 hexadecimal digits for images and labels.

    Args:
        digest: of `digest_images`; it is not changed.
        labels: int32 [N], or None.
    """
    digest = digest.copy()
    if labels is not None:
        digest.update(np.ascontiguousarray(labels))
    return digest.hexdigest()[:16]
