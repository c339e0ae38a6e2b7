"""What an export says about itself: `assets.extra/gan.json` beside its SavedModel."""

import contextlib
import hashlib
import os
import shlex
from pathlib import Path

from gan.common.command_line import SIDES
from gan.common.errors import UserError, describe_os_error
from gan.common.files import read_json
from gan.config import FITS

MODEL, METADATA = "saved_model.pb", "assets.extra/gan.json"
MOST = 10_000  # of any number in it


def find_export(path):
    """Return the export's folder: `path` itself, or exported_model in a run's folder.

    Args:
        path: the folder that a user named; it need not exist.
    """
    path, inside = Path(path), Path(path) / "exported_model"
    is_run = not (path / MODEL).is_file() and (inside / MODEL).is_file()
    return inside if is_run else path


def read_metadata(path):
    """Read and check an export's `gan.json`, without TensorFlow.

    Args:
        path: the SavedModel's folder.

    Returns:
        dict.

    Raises:
        UserError: when there is no whole export of this project.
    """
    path = Path(path)
    if not (path / MODEL).is_file():
        _refuse_unfinished_run(path.parent if path.name == "exported_model" else path)
        raise UserError(
            f"--model: expected a folder with an exported generator (train_gan.py writes "
            f"exported_model), got: {path}"
        )
    if not (path / METADATA).is_file():
        raise UserError(f"{path / METADATA}: expected the metadata of an export, got no file")
    metadata = read_json(path / METADATA, "the metadata of an export")
    if not CHECKS.keys() <= metadata.keys():
        raise UserError(f"{path / METADATA}: expected the entries {', '.join(CHECKS)}, got others")
    for name, fits in (CHECKS | LATER_CHECKS).items():
        if name in metadata and not fits(metadata[name]):
            raise UserError(f"{path / METADATA}: expected the {name} of a generator, "
                            f"got: {str(metadata[name])[:60]}")
    if not all(number < len(metadata["class_names"]) for number in metadata.get("classes", ())):
        raise UserError(f"{path / METADATA}: expected a name for each of the classes "
                        f"{metadata['classes']}, got {len(metadata['class_names'])} names")
    return metadata


def _refuse_unfinished_run(folder):
    """Say how to export the generator of a run that has checkpoints but no export."""
    if (folder / "checkpoints").is_dir():
        where = "" if str(folder) == "." else f" --outdir {shlex.quote(str(folder))}"
        raise UserError(
            f"--model: expected an exported generator, got a run that is not finished: {folder}; "
            f"python train_gan.py --resume{where} finishes and exports it, and with "
            "--max-minutes 0.01 exports it as it is")


def training_data(model, metadata):
    """Return the name or path of the data that an export learned.

    `gan.json` holds the name alone; the path is in the config.json of the run's folder.

    Args:
        model: the SavedModel's folder.
        metadata: dict, see `read_metadata`.
    """
    name = metadata["config"]["dataset"]
    try:
        known = read_json(Path(model).absolute().parent / "config.json", "a run")["dataset"]
        return known if os.path.basename(os.path.abspath(known)) == name else name
    except (UserError, KeyError, TypeError, ValueError):  # an export that was handed on
        return name


def without_labels(metadata):
    """Return why a generator cannot draw a class that is asked for."""
    if not metadata["class_names"]:
        return "--label: needs a generator that was trained on data with labels"
    return ("--label: needs a generator that was trained with --condition labels, this one was "
            f"trained with --condition {metadata['config'].get('condition')}")


def checksums(folder):
    """Return dict of name → SHA-256 of the files of a SavedModel, gan.json left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path != Path(folder) / METADATA
    }


def verify(folder, metadata):
    """Raise a `UserError` if a file of an export is not as it was written.

    A damaged graph could crash TensorFlow, which does not look before it runs.
    """
    try:
        found = checksums(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {describe_os_error(error)}") from error
    for name, checksum in metadata["sha256"].items():
        if found.get(name) != checksum:
            what = "a damaged one" if name in found else "none"
            raise UserError(f"{folder / name}: expected the file as it was exported, got {what}")


def run_of(folder):
    """Return the identifier of the run that wrote an export; "" where it has none."""
    with contextlib.suppress(UserError):
        return str(read_json(folder / METADATA, "the metadata of an export").get("run", ""))
    return ""


def foreign_in_export(folder):
    """Return the first file in an export's folder that is not as exported, or None.

    Args:
        folder: an existing folder.
    """
    metadata = folder / METADATA
    known = {}
    if os.path.lexists(metadata):
        try:
            known = dict(read_json(metadata, "the metadata of an export")["sha256"])
        except (UserError, KeyError, TypeError, ValueError):
            return metadata
    return next((folder / name for name, checksum in checksums(folder).items()
                 if known.get(name) != checksum), None)


def _whole_numbers(values, least=1):
    return isinstance(values, list) and all(
        type(value) is int and least <= value <= MOST for value in values)


def _is_shape(value):
    """Whether it is [2] of a point, or [H, W, C] of a square image."""
    return _whole_numbers(value) and (value == [2] or (
        len(value) == 3 and value[0] == value[1] and value[0] in SIDES and value[2] in (1, 3)))


def _is_config(value):
    """Whether it holds the options that tell which data the generator learned."""
    return (isinstance(value, dict) and isinstance(value.get("dataset"), str)
            and _none_or_in(SIDES, value.get("image_size", 0))
            and _none_or_in((1, 3), value.get("channels", 0))
            and type(value.get("skip_broken")) is bool
            and value.get("fit", FITS[0]) in FITS)


def _none_or_in(choices, value):
    return value is None or (type(value) is int and value in choices)


def _are_words(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_conditions(value):
    """Whether it holds the probability of each condition, and the class of each or none."""
    if not isinstance(value, dict) or not isinstance(value.get("probabilities"), list):
        return False
    probabilities = value["probabilities"]
    class_of = value.get("class_of", [0] * len(probabilities))
    return (bool(probabilities) and _whole_numbers(class_of, least=0)
            and len(class_of) == len(probabilities)
            and all(type(one) in (int, float) and 0 <= one <= 1 for one in probabilities))


CHECKS = {  # what gan.json must hold for the code here
    "sample_shape": _is_shape,
    "latent_dim": lambda value: _whole_numbers([value]),
    "class_names": _are_words,
    "config": _is_config,
    "sha256": lambda value: isinstance(value, dict) and MODEL in value,
}
LATER_CHECKS = {  # what exports of version 1.0 lack
    "endpoints": _are_words,
    "classes": lambda value: _whole_numbers(value, least=0) and bool(value),
    "extent": lambda value: type(value) in (int, float) and 0 < value <= MOST,
    "conditions": _are_conditions,
}
