"""Exported generator, loaded back; it needs none of the code that trained it."""

from pathlib import Path

import numpy as np

from gan.common.errors import UserError, reading
from gan.data.sample_types import Images, sample_type_of
from gan.metadata import METADATA, read_metadata, verify
from gan.operations import refuse_other_operations


class SavedGenerator:
    """A SavedModel that `train_gan.py` exported.

    Attributes:
        metadata: dict, the content of its `gan.json`.
        sample_shape: (H, W, C) of an image, (2,) of a point.
        class_names: list of str, empty for data without labels.
        model: the SavedModel as TensorFlow loads it.
        signatures: dict of name → the SavedModel's function, see `gan.export`.
    """

    def __init__(self, path):
        """
        Args:
            path: the SavedModel's folder.

        Raises:
            UserError: when there is no whole export, or one that does more than compute.
        """
        self.metadata = read_metadata(path)
        self.sample_shape = tuple(self.metadata["sample_shape"])
        self.class_names = self.metadata["class_names"]
        verify(Path(path), self.metadata)
        import tensorflow as tf  # late: a wrong path is reported at once

        self._tf = tf
        refuse_other_operations(path)
        with reading(path, "a SavedModel"):
            # Kept, as the signatures do not hold the variables alive.
            self.model = tf.saved_model.load(str(path))
            self.signatures = dict(self.model.signatures)
        if not {"serving_default", "latents", "sample"} <= self.signatures.keys():
            raise UserError(f"{path}: expected the signatures serving_default, latents and "
                            f"sample, got: {', '.join(sorted(self.signatures)) or 'none'}")
        (served,) = self.signatures["serving_default"].structured_outputs.values()
        if served.shape.as_list()[1:] != list(self.sample_shape):
            raise UserError(f"{Path(path) / METADATA}: expected the sample_shape of the model, "
                            f"{served.shape.as_list()[1:]}, got: {list(self.sample_shape)}")

    def sample(self, seeds, labels=None):
        """Draw one sample per seed.

        Args:
            seeds: whole numbers [N].
            labels: class numbers [N], or None for classes as frequent as in the data.

        Returns:
            uint8 [N, H, W, C], or float32 [N, 2] of points.

        Raises:
            UserError: for a class that the generator was not trained with.
        """
        return next(iter(self._draw("sample", seeds, labels).values())).numpy()

    def latents(self, seeds, labels=None):
        """Return what `sample` would draw images of, with the same arguments.

        Returns:
            latents float32 [N, latent_dim] and conditions int32 [N].
        """
        drawn = self._draw("latents", seeds, labels)
        return drawn["latents"].numpy(), drawn["conditions"].numpy()

    def images(self, latents, conditions):
        """Draw samples, as `sample` does, of float32 [N, latent_dim] and int32 [N]."""
        arguments = {"latents": self._tf.constant(latents, self._tf.float32)}
        serve = self.signatures["serving_default"]
        if "conditions" in serve.structured_input_signature[1]:
            arguments["conditions"] = self._tf.constant(conditions, self._tf.int32)
        kind = sample_type_of(self.sample_shape)
        return kind.served_to_stored(serve(**arguments)[kind.name].numpy())

    def condition_vectors(self, conditions):
        """Return the vectors of conditions, int32 [N] → float32 [N, W]; None if there is one."""
        if "condition_vectors" not in self.signatures:
            return None
        conditions = self._tf.constant(conditions, self._tf.int32)
        return self.signatures["condition_vectors"](conditions=conditions)["vectors"].numpy()

    def images_from_vectors(self, latents, vectors):
        """Draw images, uint8 [N, H, W, C], of condition vectors that may lie between two."""
        drawn = self.signatures["images_from_vectors"](
            latents=self._tf.constant(latents, self._tf.float32),
            vectors=self._tf.constant(vectors, self._tf.float32))
        return Images.served_to_stored(drawn["images"].numpy())

    def _draw(self, name, seeds, labels):
        """Call a signature that takes seeds, or its sibling that takes labels as well."""
        arguments = {"seeds": self._tf.constant(seeds, self._tf.int64)}
        if labels is None:
            return self.signatures[name](**arguments)
        known = self.metadata["classes"]
        if unknown := sorted(set(np.asarray(labels).tolist()) - set(known)):
            raise UserError(f"labels: expected classes of the training data "
                            f"({', '.join(map(str, known)) or 'none'}), got: {unknown[0]}")
        arguments["labels"] = self._tf.constant(labels, self._tf.int32)
        return self.signatures[f"{name}_labels"](**arguments)


def interpolate(generator, seeds, labels=None, truncation=1.0, frames=24, batch_size=500):
    """Draw images on a closed path through the latent vectors of seeds.

    The latents follow great circles (White 2016, "Sampling Generative
    Networks"): halfway on a straight line between two normal vectors is a
    shorter one than the generator was trained on. Condition vectors are
    interpolated linearly.

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
    latents, vectors = truncation * latents, generator.condition_vectors(conditions)
    for start in range(0, len(seeds) * frames, batch_size):
        here, step = np.divmod(np.arange(start, min(start + batch_size, len(seeds) * frames)),
                               frames)
        there, t = (here + 1) % len(seeds), (step / frames).astype(np.float32)
        between = slerp(latents[here], latents[there], t)
        if vectors is None:
            yield from generator.images(between, conditions[here])
        else:
            t = t[:, None]
            yield from generator.images_from_vectors(
                between, (1 - t) * vectors[here] + t * vectors[there])


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
