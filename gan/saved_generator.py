"""An exported generator, loaded back. Needs none of the code that trained it."""

import contextlib
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.kinds import Images, kind_of
from gan.metadata import METADATA, read_metadata, verify, without_labels
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
            UserError: when there is no whole export of this project.
        """
        self.metadata = read_metadata(path)
        self.sample_shape = tuple(self.metadata["sample_shape"])
        self.class_names = self.metadata["class_names"]
        verify(Path(path), self.metadata)
        import tensorflow as tf  # late: a wrong path is reported at once

        self._tf = tf
        refuse_other_operations(path)
        try:
            # Kept, as the signatures do not hold the variables alive.
            self.model = tf.saved_model.load(str(path))
            self.signatures = dict(self.model.signatures)
        except Exception as error:  # every part of the loader has errors of its own
            raise UserError(
                f"{path}: expected a whole SavedModel, got a damaged one ({error})"
            ) from error
        if not {"serving_default", "latents", "sample"} <= self.signatures.keys():
            raise UserError(f"{path}: expected the signatures serving_default, latents and "
                            f"sample, got: {', '.join(sorted(self.signatures)) or 'none'}")
        (served,) = self.signatures["serving_default"].structured_outputs.values()
        if served.shape.as_list()[1:] != list(self.sample_shape):
            raise UserError(f"{Path(path) / METADATA}: expected the sample_shape of the model, "
                            f"{served.shape.as_list()[1:]}, got: {list(self.sample_shape)}")

    def sample(self, seeds, labels=None):
        """Draw one image per seed.

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
        """Return what `sample` would draw images of.

        Args:
            seeds, labels: as for `sample`.

        Returns:
            latents float32 [N, latent_dim] and conditions int32 [N].
        """
        drawn = self._draw("latents", seeds, labels)
        return drawn["latents"].numpy(), drawn["conditions"].numpy()

    def images(self, latents, conditions):
        """Draw the images, or the points, of latent vectors.

        Args:
            latents: float32 [N, latent_dim].
            conditions: int32 [N].

        Returns:
            uint8 [N, H, W, C], or float32 [N, 2] of points.
        """
        arguments = {"latents": self._tf.constant(latents, self._tf.float32)}
        serve = self.signatures["serving_default"]
        if "conditions" in serve.structured_input_signature[1]:
            arguments["conditions"] = self._tf.constant(conditions, self._tf.int32)
        with self._classes_that_occur():
            drawn = serve(**arguments)
        kind = kind_of(self.sample_shape)
        return kind.served_to_stored(drawn[kind.name].numpy())

    def codes(self, conditions):
        """Return how the generator is told of conditions.

        Args:
            conditions: int32 [N].

        Returns:
            float32 [N, W]; None for a generator with one condition, and for an
            export of version 1.0, which does not tell.
        """
        if not {"codes", "images_from_codes"} <= self.signatures.keys():
            return None
        conditions = self._tf.constant(conditions, self._tf.int32)
        with self._classes_that_occur():
            return self.signatures["codes"](conditions=conditions)["codes"].numpy()

    def images_from_codes(self, latents, codes):
        """Draw the images of latent vectors under codes, which may lie between conditions.

        Args:
            latents: float32 [N, latent_dim].
            codes: float32 [N, W], see `codes`.

        Returns:
            uint8 [N, H, W, C].
        """
        drawn = self.signatures["images_from_codes"](
            latents=self._tf.constant(latents, self._tf.float32),
            codes=self._tf.constant(codes, self._tf.float32))
        return Images.served_to_stored(drawn["images"].numpy())

    def _draw(self, name, seeds, labels):
        """Call a signature that takes seeds, or its sibling that takes labels as well."""
        arguments = {"seeds": self._tf.constant(seeds, self._tf.int64)}
        if labels is None:
            return self.signatures[name](**arguments)
        if f"{name}_labels" not in self.signatures:
            raise UserError(without_labels(self.metadata))
        classes = self.metadata.get("classes", labels)
        if unknown := sorted(set(np.asarray(labels).tolist()) - set(classes)):
            raise UserError(f"labels: expected classes of the training data "
                            f"({', '.join(map(str, classes))}), got: {unknown[0]}")
        arguments["labels"] = self._tf.constant(labels, self._tf.int32)
        with self._classes_that_occur():
            return self.signatures[f"{name}_labels"](**arguments)

    @contextlib.contextmanager
    def _classes_that_occur(self):
        """Say what is wrong where an export of version 1.0 looks up a class it has not got."""
        try:
            yield
        except self._tf.errors.InvalidArgumentError as error:
            raise UserError("--label: needs classes that occur in the training data, got one "
                            "that does not") from error
