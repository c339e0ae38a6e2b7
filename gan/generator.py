"""Exported generator, loaded back; it needs none of the code that trained it."""

import functools
import sys

from gan.common.device import import_tensorflow
from gan.common.errors import UserError, reading
from gan.common.operations import refuse_other_operations
from gan.data.sample_types import sample_type_of
from gan.run.exported import METADATA, MODEL, class_number, find_export, read_metadata, verify


class SavedGenerator:
    """A SavedModel that `train_gan.py` exported, found in its own folder or in its run's.

    `metadata` is the dict in its `gan.json`. The first draw imports TensorFlow, and raises
    `UserError` if the export is damaged or does more than compute. Where `given` is set to what
    `read_latents` returns, a seed is a row of that.
    """

    def __init__(self, path):
        self.path, self.given = find_export(path), None
        self.metadata = read_metadata(self.path)
        self.sample_shape = tuple(self.metadata["sample_shape"])
        self.class_names = self.metadata["class_names"]

    @functools.cached_property
    def model(self):
        path = self.path
        verify(path, self.metadata)
        if "tensorflow" not in sys.modules:
            import_tensorflow(verbose=False)
        import tensorflow as tf

        refuse_other_operations(path / MODEL)
        with reading(path, "an exported generator"):
            model = tf.saved_model.load(str(path))
            served, *_ = map(model.signatures.__getitem__, ("serving_default", "sample", "latents"))
            (output,) = served.structured_outputs.values()
        if output.shape[1:] != self.sample_shape:
            raise UserError(f"{path / METADATA}: expected the sample_shape of the model, "
                            f"{output.shape[1:]}, got: {self.sample_shape}")
        return model

    @property
    def signatures(self):
        return self.model.signatures

    def call(self, name, **arguments):
        """Call a signature with those of the arrays that it takes; returns a dict of arrays."""
        signature = self.signatures[name]
        import tensorflow as tf  # when it has been started

        given = {key: tf.constant(arguments[key], spec.dtype)
                 for key, spec in signature.structured_input_signature[1].items()}
        return {key: tensor.numpy() for key, tensor in signature(**given).items()}

    def sample(self, seeds, labels=None, truncation=1.0, label=None):
        """Draw one sample per seed: uint8 [N, H, W, C], or float32 [N, 2] of points.

        Classes are as frequent as in the data, or `labels` [N], or all `label`, a name or number.
        `truncation` is a factor of the latents.
        """
        if label is not None:
            labels = [class_number(self.metadata, label, "label")] * len(seeds)
        if truncation == 1 and not self.given:
            return next(iter(self._draw("sample", seeds, labels).values()))
        latents, conditions = self.latents(seeds, labels)
        return self.images(truncation * latents, self.condition_vectors(conditions))

    def latents(self, seeds, labels=None):
        """Return what `sample` draws samples of: latents [N, latent_dim], conditions int32 [N]."""
        if self.given:
            return tuple(rows[seeds] for rows in self.given)
        drawn = self._draw("latents", seeds, labels)
        return drawn["latents"], drawn["conditions"]

    def condition_vectors(self, conditions):
        """Return the vectors of conditions, int32 [N] → float32 [N, W]; None if there is one."""
        if "condition_vectors" not in self.signatures:
            return None
        return self.call("condition_vectors", conditions=conditions)["vectors"]

    def images(self, latents, vectors):
        """Draw samples, as `sample` does, of condition vectors that may lie between two."""
        name = "serving_default" if vectors is None else "images_from_vectors"
        sample_type = sample_type_of(self.sample_shape)
        served = self.call(name, latents=latents, vectors=vectors)[sample_type.name]
        return sample_type.served_to_stored(served)

    def weights(self):
        """Return the weights of the generator, in the order of its layers."""
        return [variable.numpy() for variable in self.signatures["serving_default"].variables]

    def _draw(self, name, seeds, labels):
        """Call a signature that takes seeds, or its sibling that takes labels as well."""
        if labels is None:
            return self.call(name, seeds=seeds)
        known = self.metadata["classes"]
        if unknown := set(labels) - set(known):
            raise UserError(f"labels: expected classes of the training data "
                            f"({', '.join(map(str, known)) or 'none'}), got: {min(unknown)}")
        return self.call(f"{name}_labels", seeds=seeds, labels=labels)
