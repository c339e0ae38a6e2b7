"""An exported generator, loaded back. Needs none of the code that trained it."""

import hashlib
import json
from pathlib import Path

import numpy as np

from gan.common.errors import UserError, describe_os_error

ABOUT = "assets.extra/gan.json"
CHECKS = {  # what gan.json must hold for the code here
    "sample_shape": lambda value: _whole_numbers(value) and len(value) in (1, 3),
    "latent_dim": lambda value: _whole_numbers([value]),
    "class_names": lambda value: isinstance(value, list) and all(
        isinstance(name, str) for name in value),
    "config": lambda value: isinstance(value, dict),
    "sha256": lambda value: isinstance(value, dict),
}
MOST = 10_000  # of any number in it


class SavedGenerator:
    """A SavedModel that `train_gan.py` exported.

    Attributes:
        about: dict, the content of its `gan.json`.
        sample_shape: (H, W, C) of an image, (2,) of a point.
        class_names: list of str, empty for data without labels.
    """

    def __init__(self, path):
        """
        Args:
            path: the SavedModel's folder.

        Raises:
            UserError: when there is no whole export of this project.
        """
        self.about = read_about(path)
        self.sample_shape = tuple(self.about["sample_shape"])
        self.class_names = self.about["class_names"]
        verify(Path(path), self.about)
        import tensorflow as tf  # late: a wrong path is reported at once

        self._tf = tf
        try:
            # Kept, as the signatures do not hold the variables alive.
            self._model = tf.saved_model.load(str(path))
            self._signatures = dict(self._model.signatures)
        except Exception as error:  # every part of the loader has errors of its own
            raise UserError(
                f"{path}: expected a whole SavedModel, got a damaged one ({error})"
            ) from error
        if not {"serving_default", "latents", "sample"} <= self._signatures.keys():
            raise UserError(f"{path}: expected the signatures serving_default, latents and "
                            f"sample, got: {', '.join(sorted(self._signatures)) or 'none'}")

    def sample(self, seeds, labels=None):
        """Draw one image per seed.

        Args:
            seeds: whole numbers [N].
            labels: class numbers [N], or None for classes as frequent as in the data.

        Returns:
            uint8 [N, H, W, C], or float32 [N, 2] of points.
        """
        seeds = self._tf.constant(seeds, self._tf.int64)
        if labels is None:
            drawn = self._signatures["sample"](seeds=seeds)
            return drawn["points" if len(self.sample_shape) == 1 else "images"].numpy()
        labels = self._tf.constant(labels, self._tf.int32)
        return self._signatures["sample_labels"](seeds=seeds, labels=labels)["images"].numpy()

    def latents(self, seeds, labels=None):
        """Return what `sample` would draw images of.

        Args:
            seeds, labels: as for `sample`.

        Returns:
            latents float32 [N, latent_dim] and conditions int32 [N].
        """
        arguments = {"seeds": self._tf.constant(seeds, self._tf.int64)}
        if labels is not None:
            arguments["labels"] = self._tf.constant(labels, self._tf.int32)
        drawn = self._signatures["latents" if labels is None else "latents_labels"](**arguments)
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
        serve = self._signatures["serving_default"]
        if "conditions" in serve.structured_input_signature[1]:
            arguments["conditions"] = self._tf.constant(conditions, self._tf.int32)
        drawn = serve(**arguments)
        if "points" in drawn:
            return drawn["points"].numpy()
        return np.rint(drawn["images"].numpy() * 255).astype(np.uint8)


def model_folder(path):
    """Return the folder of the SavedModel: `path`, or `exported_model` in the run `path`."""
    path = Path(path)
    inside = path / "exported_model"
    if not (path / "saved_model.pb").exists() and (inside / "saved_model.pb").exists():
        return inside
    return path


def read_about(path):
    """Read and check an export's `gan.json`, without TensorFlow.

    Args:
        path: the SavedModel's folder.

    Returns:
        dict.

    Raises:
        UserError: when there is no whole export of this project.
    """
    path = Path(path)
    if not (path / "saved_model.pb").is_file():
        raise UserError(
            f"--model: expected a folder with an exported generator (train_gan.py writes "
            f"exported_model), got: {path}"
        )
    try:
        about = json.loads((path / ABOUT).read_text())
    except OSError as error:
        raise UserError(f"{path / ABOUT}: cannot be read: {describe_os_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path / ABOUT}: expected JSON, got: {error}") from error
    if not isinstance(about, dict) or not CHECKS.keys() <= about.keys():
        raise UserError(f"{path / ABOUT}: expected the entries {', '.join(CHECKS)}, got others")
    for name, fits in CHECKS.items():
        if not fits(about[name]):
            raise UserError(f"{path / ABOUT}: expected the {name} of a generator, "
                            f"got: {str(about[name])[:60]}")
    return about


def checksums(folder):
    """Return dict of name → SHA-256 of the files of a SavedModel, gan.json left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path != Path(folder) / ABOUT
    }


def verify(folder, about):
    """Raise a `UserError` if a file of an export is not as it was written.

    A damaged graph could crash TensorFlow, which does not look before it runs.
    """
    try:
        found = checksums(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {describe_os_error(error)}") from error
    for name, checksum in about["sha256"].items():
        if found.get(name) != checksum:
            what = "a damaged one" if name in found else "none"
            raise UserError(f"{folder / name}: expected the file as it was exported, got {what}")


def _whole_numbers(values):
    return isinstance(values, list) and all(
        type(value) is int and 0 < value <= MOST for value in values)
