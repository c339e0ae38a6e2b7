"""Exported model on disk: its folder, its gan.json and its checksums."""

import contextlib
import os
import shlex
from pathlib import Path

import numpy as np

from gan.common.errors import UserError, reading
from gan.common.files import checksum, read_json
from gan.data.arrays import read_npz
from gan.data.points import box_of
from gan.data.sample_types import sample_type_of

MODEL, METADATA = "saved_model.pb", "assets.extra/gan.json"
WHAT = "the metadata of an export"


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
    files = {path.relative_to(folder).as_posix(): path for path in sorted(Path(folder).rglob("*"))}
    return {name: checksum(path) for name, path in files.items()
            if path.is_file() and name != METADATA}


def verify(folder, metadata):
    """Raise a `UserError` if a file of an export is not as it was written."""
    with reading(folder, "an export"):
        found = checksums(folder)
    for name, known in metadata["sha256"].items():
        if found.get(name) != known:
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
