"""How good an exported generator is, against the data it learned from.

    python -m gan.evaluate --model exported_model

needs only the export and the data. The same metrics of real images that were
not trained on stand beside them: no generator need be nearer than those.
"""

import json
from pathlib import Path

import numpy as np

from gan.common.command_line import OptionParser, file, flag, folder, one_of, whole_number
from gan.common.errors import UserError, run_script
from gan.common.files import refuse_existing, write_text
from gan.data.datasets import load_dataset
from gan.data.layout import holds_pictures
from gan.data.messages import one_line
from gan.data.names import NAMES, STACKED
from gan.kinds import Points, kind_of
from gan.metadata import find_export, read_metadata, training_data
from gan.saved_generator import SavedGenerator

FEATURES = ("auto", "classifier", "learned", "inception", "pixels")


def main():
    """Evaluate from the command line; returns the exit code."""
    options = make_parser().parse_args()
    if options.json:
        refuse_existing(options.json, options.force, "--json")
    if options.neighbours:
        refuse_existing(options.neighbours, options.force, "--neighbours")
    options.model = find_export(options.model)
    metadata = read_metadata(options.model)
    dataset, same = load_data(options.dataset, metadata, training_data(options.model, metadata))

    for name in ("two_sample", "neighbours"):
        if getattr(options, name) and kind_of(dataset.sample_shape) is Points:
            raise UserError(f"{flag(name)} needs a generator of images, got one of points")

    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)

    from gan.evaluate.evaluators import draw_samples

    wanted, why = wanted_features(options.features, metadata, dataset)
    evaluator = kind_of(dataset.sample_shape).evaluator(dataset, wanted, why)
    count = options.num_images or evaluator.count
    generator = SavedGenerator(options.model)
    samples = draw_samples(generator.sample, count, options.seed)
    found = evaluator.measure(samples)
    reference, split = evaluator.reference(), evaluator.split()
    found |= evaluator.memorisation(samples)
    add_ratios(found, reference, split)
    if options.two_sample:
        found["auc"], split["auc"] = two_sample(dataset.sample(), generator, options.seed)
    beside = {} if not options.neighbours else write_neighbours(
        options.neighbours, dataset.sample(), samples, metadata["config"].get("mirror", False))
    show(found, {"test images": reference, "training": split}, evaluator, count, options.seed)
    if options.json:
        write_text(options.json, json.dumps({
            "generated": found, "test_images": reference, "training_split": split,
            "left_out": evaluator.left_out,
            "images": count, "seed": options.seed, "features": evaluator.features(),
            "trained_on_this_data": same, **beside,
        }, indent=2) + "\n")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="the exported SavedModel, or the folder of the run that exported it "
             "(default: exported_model)")
    add("--dataset", metavar="NAME|PATH", help="the data (default: what it was trained on)")
    add("--features", default="auto", type=one_of(FEATURES), metavar=f"{{{','.join(FEATURES)}}}",
        help="what images are compared in: features of a classifier, of a network that learns "
             "from the images without labels (either is trained if there is none) or of Keras' "
             "InceptionV3 (downloaded), or principal components of the pixels (auto: as in the "
             "run)")
    add("--num-images", type=whole_number(100, 10**6), metavar="N",
        help="images or points to generate (default: 10000, of stacked_mnist 25600)")
    add("--two-sample", action="store_true",
        help="also train fresh classifiers to tell generated from training images "
             "(Lopez-Paz 2017), which takes half an hour")
    add("--neighbours", type=file, nargs="?", const="neighbours.png", metavar="FILE",
        help="also draw generated images with the training images nearest to them, to this file "
             "or neighbours.png, and say how near they come")
    add("--seed", type=whole_number(0, 2**62), default=0, metavar="N",
        help="seed of the first of them (default: 0)")
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
        if name not in NAMES and not Path(name).exists():
            raise UserError("--dataset needed: the data that the generator was trained on are not "
                            f"in {name}")
    how = {key: config[key] for key in ("image_size", "channels", "skip_broken", "fit")
           if key in config}
    if name != recorded:
        pictures = name not in NAMES and holds_pictures(Path(name))
        how = how | {"image_size": shape[0], "channels": shape[-1]} if pictures else {}
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
    """Return what to compare images in, and why: arguments of `extractor_for`.

    Args:
        option: `--features`.
        metadata: of the export; "features" is what the run compared in.
        dataset: the data to compare with.

    Raises:
        UserError: when a classifier is asked for that cannot be trained.
    """
    if option != "auto":
        if kind_of(dataset.sample_shape) is Points:
            raise UserError(f"--features needs a generator of images, got {option} for one of "
                            "points")
        if option == "classifier" and dataset.labels is None and dataset.name != STACKED:
            raise UserError("--features classifier needs labelled data, got data without labels; "
                            "expected --features learned")
        return option, "as asked for"
    used = metadata.get("features")
    if isinstance(used, dict):
        kind = used.get("kind")
        return kind if kind in ("classifier", "learned", "pixels") else "auto", "as in the run"
    return "classifier" if metadata["config"].get("metrics_interval") else "auto", "as in the run"


def add_ratios(found, reference, split):
    """Add the Fréchet distance as multiples of the real images', and what else is known of those.

    Args:
        found, reference, split: dict of metric → number, of generated, test and
            training images; changed in place.
    """
    for name, real in (("frechet_ratio", reference), ("frechet_split_ratio", split)):
        if real.get("frechet") and "frechet" in found:
            found[name] = found["frechet"] / real["frechet"]
            real[name] = 1.0
    by_definition = {"nearest_ratio": 1.0, "copies": 0.01}
    reference |= {name: value for name, value in by_definition.items() if name in found}


def two_sample(dataset, generator, seed):
    """Train classifiers to tell generated from training images.

    Returns:
        `(auc, real_auc)`: of generated images, and of two halves of the training
        images; see `two_sample_test`.

    Raises:
        UserError: for too few images.
    """
    from gan.evaluate.evaluators import draw_samples
    from gan.evaluate.two_sample import LEAST, split_sizes, two_sample_test

    images = dataset.images[np.random.default_rng(seed).permutation(len(dataset.images))]
    half = len(images) // 2
    if half < LEAST:
        raise UserError(f"--two-sample needs at least {2 * LEAST} training images, got "
                        f"{len(images)}")
    # Of one size, or the one with more images to learn from would tell more.
    count = sum(split_sizes(half))
    generated = draw_samples(generator.sample, count, seed)
    results = [two_sample_test(images[:count], generated, seed, text="generated against real"),
               two_sample_test(images[:count], images[half:], seed, text="real against real")]
    sizes = results[0].sizes
    print("two-sample test: {:,} images of each kind to train on, {:,} to stop by, {:,} to rank; "
          "AUC of each training {}".format(
              *sizes, ", ".join(f"{auc:.3f}" for auc in results[0].aucs)), flush=True)
    return tuple(result.auc for result in results)


def write_neighbours(path, dataset, samples, mirror=False):
    """Draw generated images beside their nearest training images, and print how near they come.

    Args:
        path: of the PNG file.
        dataset: `Dataset`.
        samples: uint8 [N, H, W, C], generated.
        mirror: whether the generator learned the mirror image of every training image too.

    Returns:
        dict for JSON: "nearest", with the median distance and its multiples.
    """
    from gan.drawing.images import write_png
    from gan.drawing.neighbours import neighbour_sheet
    from gan.evaluate.neighbours import find_neighbours, in_words

    training = dataset.images
    training = np.concatenate([training, training[:, :, ::-1]]) if mirror else training
    found = find_neighbours(samples, training, dataset.test_images)
    write_png(path, neighbour_sheet([
        (images, training[nearest.places])
        for images, nearest in (found.typical, found.nearest)]))
    print(f"neighbours  {one_line(path)}: {in_words(found)}", flush=True)
    return {"nearest": {"median_distance": found.distance,
                        "times_training": found.training_ratio, "times_test": found.test_ratio}}


def show(found, columns, evaluator, count, seed):
    """Print generated and real metrics side by side: see `metrics_table`."""
    from gan.evaluate.summary import left_out_texts, metrics_table

    print(f"{count:,} {evaluator.samples}, seeds from {seed}, compared in "
          f"{evaluator.features()['description']}")
    for line in metrics_table(found, {name: column for name, column in columns.items() if column}):
        print(line)
    for text in left_out_texts(evaluator.left_out):
        print(f"left out: {text}")


if __name__ == "__main__":
    run_script("gan.evaluate", main)
