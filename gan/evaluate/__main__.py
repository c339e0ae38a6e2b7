"""Evaluation of an exported generator against real images.

    python -m gan.evaluate --model exported_model

needs only the export and the data. The same metrics of real images that were
not trained on stand beside them: no generator need be nearer than those.
"""

import json
from pathlib import Path

import numpy as np

from gan.common.command_line import OptionParser, file, folder, one_of, whole_number
from gan.common.errors import UserError, one_line, run_script
from gan.common.files import refuse_existing, write_text
from gan.data.datasets import DATASETS, is_picture_folder, load_dataset
from gan.data.sample_types import Points, sample_type_of
from gan.generator import SavedGenerator
from gan.metadata import find_export, read_metadata, training_data

FEATURES = ("auto", "classifier", "learned", "inception", "pixels")


def main():
    """Evaluate from the command line; returns the exit code."""
    options = make_parser().parse_args()
    for name in ("json", "neighbours"):
        if getattr(options, name):
            refuse_existing(getattr(options, name), options.force, f"--{name}")
    options.model = find_export(options.model)
    metadata = read_metadata(options.model)
    dataset, same = load_data(options.dataset, metadata, training_data(options.model, metadata))
    if options.neighbours and sample_type_of(dataset.sample_shape) is Points:
        raise UserError("--neighbours needs a generator of images, got one of points")
    wanted, why = wanted_features(options.features, metadata, dataset)

    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)

    from gan.evaluate.evaluator import Drawn, Evaluator
    from gan.evaluate.registry import left_out_texts, metrics_table

    evaluator = Evaluator(dataset, wanted, why, options.num_images)
    generator = SavedGenerator(options.model)
    samples = Drawn(generator.sample, evaluator.count, options.seed, dataset.sample_shape)
    found = evaluator.measure(samples, slow=True)
    columns = {"test images": evaluator.reference(), "training": evaluator.split()}
    content = {
        "generated": found, "test_images": columns["test images"],
        "training_split": columns["training"], "left_out": evaluator.left_out,
        "images": evaluator.count, "seed": options.seed, "features": evaluator.features(),
        "trained_on_this_data": same,
    }
    if options.neighbours:
        content |= write_neighbours(options.neighbours, dataset.sample(), samples,
                                    metadata["config"].get("mirror", False))
    print(f"{evaluator.count:,} {evaluator.samples}, seeds from {options.seed}, compared in "
          f"{evaluator.features()['description']}")
    for line in metrics_table(found, {name: column for name, column in columns.items() if column}):
        print(line)
    for text in left_out_texts(evaluator.left_out):
        print(f"left out: {text}")
    if options.json:
        write_text(options.json, json.dumps(content, indent=2) + "\n")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="exported model, or folder of the run (default: exported_model)")
    add("--dataset", metavar="NAME|PATH", help="the data (default: what it was trained on)")
    add("--features", default="auto", type=one_of(FEATURES), metavar=f"{{{','.join(FEATURES)}}}",
        help="features that images are compared in (auto: as in the run)")
    add("--num-images", type=whole_number(100, 10**6), default=10_000, metavar="N",
        help="samples to generate, and real ones to compare (default: 10000)")
    add("--neighbours", type=file, nargs="?", const="neighbours.png", metavar="FILE",
        help="also draw generated images beside their nearest training images")
    add("--seed", type=whole_number(0, 2**62), default=0, metavar="N",
        help="seed of the first sample (default: 0)")
    add("--json", type=file, metavar="FILE", help="also write the metrics to this file")
    add("--force", action="store_true", help="overwrite a file that exists")
    return parser


def load_data(name, metadata, recorded=None):
    """Load the data to compare with.

    Args:
        name: `--dataset`, or None for the data of the run.
        metadata: of the export.
        recorded: the data of the run, see `training_data`; None: as `metadata` has it.

    Returns:
        `(dataset, same)`: a `Dataset` or `PointDataset`, and whether the
        generator was trained on it; None where the export does not tell.

    Raises:
        UserError: when there are no such data, or samples of another shape.
    """
    config, shape = metadata["config"], metadata["sample_shape"]
    recorded = recorded or str(config.get("dataset"))
    if name is None:
        name = recorded
        if name not in DATASETS and not Path(name).exists():
            raise UserError("--dataset needed: the data that the generator was trained on are not "
                            f"in {name}")
    how = {}
    if is_picture_folder(name):
        how = {key: config[key] for key in ("skip_broken", "fit") if key in config}
        how |= {"image_size": shape[0], "channels": shape[-1]}
    dataset = load_dataset(name, **how)
    if list(dataset.sample_shape) != shape:
        raise UserError(f"--dataset: expected samples of {shape}, "
                        f"got: {list(dataset.sample_shape)}")
    trained_on = metadata.get("fingerprint")
    same = None if trained_on is None else trained_on == dataset.fingerprint
    if same is False:
        print(f"note: {name} does not hold the data that the generator was trained on", flush=True)
    return dataset, same


def wanted_features(option, metadata, dataset):
    """Return what to compare images in, and why: arguments of `extractor_for`."""
    if option != "auto":
        if sample_type_of(dataset.sample_shape) is Points:
            raise UserError(f"--features needs a generator of images, got {option} for one of "
                            "points")
        if option == "classifier" and dataset.labels is None:
            raise UserError("--features classifier needs labeled data, got data without labels; "
                            "expected --features learned")
        return option, "as asked for"
    used = metadata.get("features")
    if isinstance(used, dict):
        kind = used.get("kind")
        return kind if kind in ("classifier", "learned", "pixels") else "auto", "as in the run"
    return "classifier" if metadata["config"].get("metrics_interval") else "auto", "as in the run"


def write_neighbours(path, dataset, samples, mirror=False):
    """Draw generated images beside their nearest training images, and print how near they come.

    With `mirror`, mirror images of the training images count as training images.
    Returns dict for JSON.
    """
    from gan.drawing.images import neighbor_grid, write_png
    from gan.evaluate.neighbours import find_neighbours, in_words

    training = dataset.images
    training = np.concatenate([training, training[:, :, ::-1]]) if mirror else training
    found = find_neighbours(samples, training, dataset.test_images)
    write_png(path, neighbor_grid([
        (images, training[nearest.places])
        for images, nearest in (found.typical, found.nearest)]))
    print(f"neighbours  {one_line(path)}: {in_words(found)}", flush=True)
    return {"nearest": {"median_distance": found.distance,
                        "times_training": found.training_ratio, "times_test": found.test_ratio}}


if __name__ == "__main__":
    run_script("gan.evaluate", main)
