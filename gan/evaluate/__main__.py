"""Evaluation of an exported generator against real images.

    python -m gan.evaluate --model exported_model

needs only the export and the data. The same metrics of real images that were not trained on
stand beside them: no generator need be nearer than those.
"""

import json
from pathlib import Path

from gan.common.command_line import (
    OptionParser,
    file,
    folder,
    one_of,
    say,
    size_of,
    whole_number,
)
from gan.common.errors import UserError, note, one_line, run_script
from gan.common.files import refuse_existing, write_text
from gan.data.datasets import DATASETS, READ_OPTIONS, load_dataset
from gan.generator import SavedGenerator
from gan.run.exported import training_data

FEATURES = ("auto", "classifier", "learned", "inception", "pixels")


def main():
    """Evaluate from the command line; returns the exit code."""
    options = make_parser().parse_args()
    for name in ("json", "neighbors"):
        if getattr(options, name):
            refuse_existing(getattr(options, name), options.force, f"--{name}")
    generator = SavedGenerator(options.model)
    metadata, config = generator.metadata, generator.metadata["config"]
    dataset = load_data(options.dataset, training_data(generator.path, metadata), metadata)
    check(options, dataset)

    from gan.common.device import import_tensorflow

    import_tensorflow(verbose=False)

    from gan.evaluate.evaluator import Drawn, Evaluator
    from gan.evaluate.neighbors import draw_neighbors
    from gan.evaluate.registry import METRICS, left_out_texts, metrics_table

    wanted = options.features
    if wanted == "auto" and config.get("metrics_interval"):
        wanted = "trained"  # as in the run
    evaluator = Evaluator(dataset, wanted, options.num_images)
    samples = Drawn(generator.sample, evaluator.count, options.seed, dataset.sample_shape)
    found = evaluator.measure(samples, slow=True)
    reference, split, counts = evaluator.reference(), evaluator.split(), evaluator.real_counts()
    content = {
        "generated": found, "test_images": reference, "training_split": split,
        "left_out": evaluator.left_out, "images": evaluator.count, "real_images": counts,
        "seed": options.seed, "features": evaluator.features(),
    }
    if options.neighbors:
        near = draw_neighbors(options.neighbors, samples, dataset.sample.images,
                               config.get("mirror", False))
        content["nearest"] = near._asdict()
        say("neighbors", f"{one_line(options.neighbors)}: {near}")
    say("measured", f"{evaluator.count:,} {evaluator.samples}, seeds from {options.seed}, "
        f"compared in {evaluator.features()['description']}")
    columns = {f"test {counts['reference']:,}": reference, f"split {counts['split']:,}": split}
    for line in metrics_table(found, {name: column for name, column in columns.items() if column}):
        print(line)
    for text in left_out_texts(evaluator.left_out):
        say("left out", text)
    for name in found:
        say(f"{name:20}", METRICS[name].explanation)
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
    add("--features", default="auto", type=one_of(FEATURES), metavar="NAME",
        help=f"{', '.join(FEATURES)} (default: auto, as in the run)")
    add("--num-images", type=whole_number(100, 10**6), metavar="N",
        help="samples to generate, and real ones to compare (default: as in the run)")
    add("--neighbors", type=file, nargs="?", const="neighbors.png", metavar="FILE",
        help="also draw generated images beside their nearest training images")
    add("--seed", type=whole_number(0, 2**62), default=0, metavar="N",
        help="seed of the first sample (default: 0)")
    add("--json", type=file, metavar="FILE", help="also write the metrics to this file")
    add("--force", action="store_true", help="overwrite a file that exists")
    return parser


def load_data(name, recorded, metadata):
    """Load the data to compare with: `--dataset`, or what the export was trained on if None."""
    config, shape = metadata["config"], metadata["sample_shape"]
    if name is None and recorded not in DATASETS and not Path(recorded).exists():
        raise UserError("--dataset needed: the data that the generator was trained on are not "
                        f"in {recorded}")
    name, how = name or recorded, {key: config[key] for key in READ_OPTIONS if key in config}
    if len(shape) == 3:
        how |= {"image_size": size_of(shape), "channels": shape[-1]}
    dataset = load_dataset(name, **how)
    if list(dataset.sample_shape) != shape:
        raise UserError(f"--dataset: expected samples of {shape}, "
                        f"got: {list(dataset.sample_shape)}")
    if metadata.get("fingerprint") not in (None, dataset.fingerprint):
        note(f"{name} does not hold the data that the generator was trained on")
    return dataset


def check(options, dataset):
    """Raise a `UserError` for options that do not fit the data."""
    if dataset.box:
        for option in ("neighbors", "features"):
            if getattr(options, option) not in (None, "auto"):
                raise UserError(f"--{option} needs a generator of images, got one of points")
    elif options.features == "classifier" and dataset.labels is None:
        raise UserError("--features classifier needs labeled data, got data without labels; "
                        "expected --features learned")


if __name__ == "__main__":
    run_script("gan.evaluate", main)
