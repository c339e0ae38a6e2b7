"""What lies in a folder of shards: whether it is whole, and whether it is ours."""

import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan.common.errors import UserError
from gan.data.messages import listed
from gan.data.shard_files import entry_of
from gan.data.shard_index import INDEX, files_of, map_file, map_labels, read_index
from gan.data.sharded_conditions import read_conditions


def check_shards(folder):
    """Read all files of a folder of shards and compare them with its index.

    Args:
        folder: the `Path`.

    Returns:
        The index.

    Raises:
        UserError: naming what is damaged.
    """
    index, damaged = read_index(folder), []
    entries = files_of(index)
    for entry in tqdm(entries, desc="checking", unit="file", leave=False, disable=None):
        if entry_of(folder / entry["file"])["sha256"] != entry["sha256"]:
            damaged.append(f"{entry['file']} (its checksum does not fit)")
    if damaged:
        raise UserError(f"{folder}: {len(damaged)} of {len(entries)} files are damaged: "
                        f"{listed(damaged)}")
    for shard in index["shards"]:
        map_file(folder, shard, (shard["count"], *index["shape"]), np.uint8)
    arrays, classes = map_labels(folder, index), len(index["class_names"])
    for part in ("labels", "test_labels"):
        labels = arrays[part]
        if labels is not None and not 0 <= labels.min() <= labels.max() < classes:
            raise UserError(f"{folder / index[part]['file']}: expected labels from 0 to "
                            f"{classes - 1}, got others")
    if index.get("conditions"):
        read_conditions(folder / index["conditions"]["file"], index["count"])
    return index


def refuse_foreign(target, force):
    """Refuse to replace what is no folder of shards alone.

    Args:
        target: where shards are to be written.
        force: whether shards that lie there may be replaced.

    Raises:
        UserError: naming what lies there.
    """
    target = Path(target)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        known = {INDEX, *(entry["file"] for entry in files_of(read_index(target)))}
        strange = sorted({path.name for path in target.iterdir()} - known)
    except (UserError, OSError) as error:
        raise UserError(f"{target}: expected nothing, an empty folder or shards there, got "
                        "something else; move it, or choose another folder") from error
    if strange:
        raise UserError(f"{target / strange[0]}: gan.shards did not write this and would get in "
                        "its way; move it, or choose another folder")
    if not force:
        raise UserError(f"{target} holds shards; expected --force to replace them, or another "
                        "folder")
