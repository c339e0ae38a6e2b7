"""Weights of another run, or of an export, as the start of a new run."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.common.command_line import shape_in_words, sides_of
from gan.common.errors import UserError, listed, reading
from gan.data.conditions import Conditioning
from gan.generator import SavedGenerator
from gan.run.checkpoint import list_checkpoints, load_newest
from gan.run.exported import MODEL, find_export, read_metadata

LEAST = 0.5  # of the generator's weights that have to fit


class Source(NamedTuple):
    """What a run or an export has learned."""

    weights: dict  # name → array, see `TrainState.variables`
    vectors: np.ndarray  # float32 [K, W], of its conditions
    probabilities: np.ndarray  # float32 [K]
    classes: np.ndarray  # str [K], the class of each condition, or "" for all
    outputs: int  # of the discriminator
    config: dict
    name: str


def read_source(path):
    """Read the newest checkpoint of a run, or else an export, which has no discriminator."""
    export, checkpoints = find_export(path), Path(path) / "checkpoints"
    exported = (export / MODEL).is_file()
    names = read_metadata(export, "--init-from")["class_names"] if exported else []
    if list_checkpoints(checkpoints):
        saved = load_newest(checkpoints, option="--init-from")
        with reading(checkpoints, "checkpoints of this version"):
            count = len(saved.conditions["cluster_labels"])
            conditioning = Conditioning.from_arrays(saved.conditions, count)
            vectors, probabilities = conditioning.vectors, conditioning.probabilities
            outputs = conditioning.condition_size
        class_of, weights, config = conditioning.class_of, saved.variables, saved.config
        name = f"step {saved.step:,} of {path}"
    else:
        generator = SavedGenerator(export)
        conditions, config = generator.metadata["conditions"], generator.metadata["config"]
        probabilities, class_of = np.array(conditions["probabilities"]), conditions.get("class_of")
        vectors = generator.condition_vectors(np.arange(len(probabilities)))
        vectors = np.ones((1, 1), np.float32) if vectors is None else vectors
        weights = {f"{owner}/{number:02d}": value for owner in ("generator", "ema")
                   for number, value in enumerate(generator.weights())}
        outputs, name = 0, str(path)
    # Before a run is exported, only the numbers of its classes are known.
    classes = ["" if class_of is None else names[class_of[number]] if names
               else str(class_of[number]) for number in range(len(probabilities))]
    return Source(weights, vectors, probabilities, np.array(classes), outputs, config, name)


def take_over(config, state, conditioning, class_names):
    """Set the networks of a new `TrainState` to what `--init-from` names; say what fitted."""
    source, variables = read_source(config.init_from), state.variables()
    classes = [] if conditioning.class_of is None else [
        class_names[label] for label in conditioning.class_of]
    arrays = dict(source.weights)
    for name in {"generator/00", "ema/00"} & arrays.keys():
        arrays[name] = _first_kernel(arrays[name], source, conditioning, classes)
    last = {id(variable.value) for variable in state.discriminator.layers[-1].variables}
    for name, variable in variables.items():
        if id(variable) in last and name in arrays and arrays[name].shape[-1] == source.outputs:
            arrays[name] = _logits(arrays[name], source, conditioning, classes)

    fitting, left = {}, []
    for owner in ("generator", "ema", "discriminator"):
        own = {f"{owner}/{number:02d}": variable
               for number, variable in enumerate(getattr(state, owner).variables)}
        if own.keys() != {name for name in arrays if name.startswith(f"{owner}/")}:
            continue  # none, or of other layers
        for name, variable in own.items():
            if arrays[name].shape == tuple(variable.shape):
                fitting[name] = arrays[name]
            elif owner != "ema" and variable.trainable:
                left.append(variable.path)
    taken = sum(fitting[name].size for name in fitting if name.startswith("generator/"))
    if taken < LEAST * state.generator.count_params():
        raise UserError(f"--init-from: expected networks like those of {source.name} "
                        f"({_describe(source.config)}), got: {_describe(vars(config))}")
    for name, array in fitting.items():
        variables[name].assign(array)

    # Say what begins anew.
    whole = any(name.startswith("discriminator/") for name in fitting)
    words = [f"{source.name}: generator" + (" and discriminator" if whole else
                                            "; the discriminator begins anew")]
    known, new = set(classes) & set(source.classes), set(classes) - set(source.classes)
    words += [f"{heading}: {listed(names)}" for heading, names in (
        ("classes taken over", sorted(known)), ("new classes", sorted(new)),
        ("not taken over", left)) if names]
    return "; ".join(words)


def _first_kernel(kernel, source, conditioning, classes):
    """Return the generator's first kernel, whose last rows are those of condition vectors."""
    length, entries = source.config["latent_dim"], source.vectors.shape[1]
    rows = kernel[length:]
    if entries == 1:
        rows = np.zeros((1, *kernel.shape[1:]), kernel.dtype)
    if len(kernel) != length + (entries if entries > 1 else 0):
        return kernel  # a model of one's own that is given latents alone
    added = _carry(rows, source, conditioning, classes)
    return np.concatenate([kernel[:length], added if len(added) > 1 else added[:0]])


def _logits(weights, source, conditioning, classes):
    """Return the discriminator's last kernel or bias, [..., outputs]."""
    rows = weights.reshape(-1, source.outputs).T
    entries, count = source.vectors.shape[1], conditioning.coordinates.shape[1]
    known = rows[entries:][:count]
    new = np.zeros((count - len(known), rows.shape[1]), rows.dtype)
    rows = np.concatenate([_carry(rows[:entries], source, conditioning, classes), known, new])
    return rows.T.reshape(*weights.shape[:-1], len(rows))


def _carry(rows, source, conditioning, classes):
    """Return what a layer makes of each entry of the new condition vectors: [W, n] → [W', n].

    The clusters of the new images are others than before: each begins as the mean of the old
    ones of its class, or else of all.
    """
    outputs, weights = source.vectors @ rows, source.probabilities + 1e-12
    mean = np.average(outputs, axis=0, weights=weights)
    found = np.zeros((conditioning.vector_size, rows.shape[1]), rows.dtype)
    found[-1] = mean  # the entry that all share
    for indices, name in zip(conditioning.vector_indices, classes, strict=bool(classes)):
        same = source.classes == name
        if same.any() and len(indices) > 1:
            found[indices[1]] = np.average(outputs[same], axis=0, weights=weights[same]) - mean
    return found


def _describe(config):
    size, words = config["image_size"], ""
    if size:
        words = f", {shape_in_words((*sides_of(size)[::-1], config['channels']))}"
    return (f"{config['arch']} of {config['base_channels']} channels, latents of "
            f"{config['latent_dim']}{words}")
