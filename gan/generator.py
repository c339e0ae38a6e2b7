"""Exported generator, loaded back; it needs none of the code that trained it."""

import contextlib
import functools
import hashlib
import os
import shlex
import sys
from pathlib import Path

import numpy as np

from gan.common.device import import_tensorflow
from gan.common.errors import UserError, reading
from gan.common.files import read_json
from gan.common.operations import refuse_other_operations
from gan.data.arrays import read_npz
from gan.data.points import box_of
from gan.data.sample_types import sample_type_of

MODEL, METADATA = "saved_model.pb", "assets.extra/gan.json"
WHAT = "the metadata of an export"


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


# The metadata in gan.json.


def find_export(path):
    """Return the export's folder: `path` itself, or exported_model in a run's folder."""
    path, inside = Path(path), Path(path) / "exported_model"
    is_run = not (path / MODEL).is_file() and (inside / MODEL).is_file()
    return inside if is_run else path


def read_metadata(path, option="--model"):
    """Return an export's `gan.json` as a checked dict, without TensorFlow."""
    path = Path(path)
    if not (path / MODEL).is_file():
        run = path.parent if path.name == "exported_model" else path
        if (run / "checkpoints").is_dir():
            where = "" if str(run) == "." else f" --outdir {shlex.quote(str(run))}"
            raise UserError(
                f"{option}: expected an exported generator, got a run that is not finished: {run}; "
                f"python train_gan.py --resume{where} finishes and exports it, and with "
                "--max-minutes 0.01 exports it as it is")
        raise UserError(f"{option}: expected a folder with an exported generator (train_gan.py "
                        f"writes exported_model), got: {path}")
    metadata = read_json(path / METADATA, WHAT)
    with reading(path / METADATA, WHAT):  # whatever is found too late where it is used
        names, shape = metadata["class_names"], metadata["sample_shape"]
        sample_type_of(shape)
        if not (all(type(number) is int for number in (metadata["latent_dim"], *shape))
                and all(isinstance(name, str) for name in (metadata["config"]["dataset"], *names))
                and all(0 <= number < len(names) for number in metadata["classes"])
                and all(0 <= one <= 1 for one in metadata["conditions"]["probabilities"])
                and (len(shape) == 3 or (box_of(metadata)[1] > 0).all())
                and MODEL in metadata["sha256"]):
            raise ValueError("a value of a wrong type or size")
    return metadata


def read_latents(path, metadata):
    """Return the latents and conditions of an .npz file that fits an export."""
    size, kinds = metadata["latent_dim"], len(metadata["conditions"]["probabilities"])
    arrays = read_npz(path, ("latents", "conditions"))
    with reading(path, "latents"):
        latents = arrays["latents"].astype(np.float32)
        conditions = arrays.get("conditions", np.zeros(len(latents))).astype(np.int32)
    if not (latents.ndim == 2 and latents.shape[1] == size and len(latents)
            and conditions.shape == latents.shape[:1] and np.isfinite(latents).all()
            and (conditions >= 0).all() and (conditions < kinds).all()):
        raise UserError(f"{path}: expected latents of {size} numbers and conditions below {kinds}, "
                        f"got shapes {latents.shape} and {conditions.shape}")
    return latents, conditions


def training_data(model, metadata):
    """Return the name or path of the data that an export learned.

    `gan.json` holds the name alone; the path is in the config.json of the run's folder.
    """
    name = metadata["config"]["dataset"]
    with contextlib.suppress(UserError, KeyError, TypeError, ValueError):  # handed on
        known = read_json(Path(model).absolute().parent / "config.json", "a run")["dataset"]
        return known if os.path.basename(os.path.abspath(known)) == name else name
    return name


def checksums(folder):
    """Return dict of name → SHA-256 of the files of a SavedModel, gan.json left out."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != METADATA:
            with open(path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def verify(folder, metadata):
    """Raise a `UserError` if a file of an export is not as it was written."""
    with reading(folder, "an export"):
        found = checksums(folder)
    for name, checksum in metadata["sha256"].items():
        if found.get(name) != checksum:
            what = "a damaged one" if name in found else "none"
            raise UserError(f"{folder / name}: expected the file as it was exported, got {what}")


def class_number(metadata, text, where):
    """Return the number of a class, given by its name in any case or its number."""
    names, known = metadata["class_names"], metadata["classes"]
    if not known:
        raise UserError(f"{where}: needs a generator that was trained " + (
            f"with --condition labels, this one was trained with --condition "
            f"{metadata['config'].get('condition')}" if names else "on data with labels"))
    text, folded, number = str(text), [name.casefold() for name in names], None
    if text.casefold() in folded:
        number = folded.index(text.casefold())
    elif text.isdecimal() and not any(name.isdecimal() for name in names):
        number = int(text[:9])  # where names are numbers, a number is a name
    if number not in known:
        unknown = number is None or number >= len(names)
        raise UserError(f"{where}: expected a class of the generator "
                        f"({', '.join(names[one] for one in known)}), got: {text}, "
                        + ("which it does not know" if unknown else "of which it saw no image"))
    return number
