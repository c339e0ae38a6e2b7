"""Walks between latent vectors: many images on the way from one seed to the next."""

import numpy as np


def walk(generator, seeds, labels, truncation, frames, batch_size):
    """Draw the images on a closed way through the latent vectors of seeds.

    The latents follow great circles (White 2016, "Sampling Generative
    Networks"): on a straight line between two normal vectors the middle is
    shorter than any vector the generator was trained on. The codes of the
    conditions are blended in proportion; an export of version 1.0 takes none,
    and its condition changes half way.

    Args:
        generator: a `SavedGenerator` of images.
        seeds: whole numbers [S].
        labels: class numbers [S], or None.
        truncation: factor of the latent vectors.
        frames: images from one seed to the next.
        batch_size: images drawn at a time.

    Yields:
        S * frames images, uint8 [H, W, C]; the first is that of the first seed.
    """
    latents, conditions = generator.latents(seeds, labels)
    latents, codes = truncation * latents, generator.codes(conditions)
    places = [(here, (here + 1) % len(seeds), step / frames)
              for here in range(len(seeds)) for step in range(frames)]
    for start in range(0, len(places), batch_size):
        here, there, t = map(np.array, zip(*places[start : start + batch_size], strict=True))
        on_the_way = slerp(latents[here], latents[there], t.astype(np.float32))
        if codes is None:
            yield from generator.images(on_the_way,
                                        np.where(t < 0.5, conditions[here], conditions[there]))
        else:
            blend = t.astype(np.float32)[:, None]
            yield from generator.images_from_codes(
                on_the_way, (1 - blend) * codes[here] + blend * codes[there])


def slerp(start, end, t):
    """Spherical linear interpolation (Shoemake 1985).

    Args:
        start, end: float [N, D].
        t: float [N] in [0, 1], how far to go from start to end.

    Returns:
        float [N, D], on the great circles through start and end; on the straight
        line where they are (anti)parallel and no circle is the only one.
    """
    lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
    cosine = (start * end).sum(axis=1) / np.maximum(lengths, 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    straight = np.sin(angle) < 1e-4
    sine = np.where(straight, 1, np.sin(angle))
    weights = (np.where(straight, 1 - t, np.sin((1 - t) * angle) / sine),
               np.where(straight, t, np.sin(t * angle) / sine))
    return weights[0][:, None] * start + weights[1][:, None] * end
