"""How good an exported generator is, against the data it learned from.

    python -m gan.evaluate --model exported_model

needs only the export and the data. The same figures for real images that were
not trained on stand beside them: no generator need be nearer than those.
"""

import json
import sys
from pathlib import Path

from gan.common.errors import UserError, run_script
from gan.measure.evaluators import draw_samples, evaluator_for


def main():
    """Evaluate from the command line; returns the exit code."""
    from gan.common.device import import_tensorflow
    from gan.common.files import write_text
    from gan.common.options import OptionParser, whole_number
    from gan.data.datasets import load_dataset
    from gan.metadata import read_metadata
    from gan.saved_generator import SavedGenerator

    parser = OptionParser(prog="python -m gan.evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", type=Path, default=Path("exported_model"), metavar="FOLDER",
        help="the exported SavedModel (default: exported_model)")
    add("--dataset", metavar="NAME|PATH", help="the data (default: what it was trained on)")
    add("--num-images", type=whole_number(100, 10**6), metavar="N",
        help="images or points to generate (default: 10000, of stacked_mnist 25600)")
    add("--seed", type=whole_number(0, 2**62), default=0, metavar="N",
        help="seed of the first of them (default: 0)")
    add("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()

    about = read_metadata(options.model)
    config = about["config"]
    dataset = load_dataset(options.dataset or config["dataset"], config["image_size"],
                           config["channels"], config["skip_broken"])
    if list(dataset.sample_shape) != about["sample_shape"]:
        raise UserError(f"--dataset: expected samples of {about['sample_shape']}, "
                        f"got: {list(dataset.sample_shape)}")
    import_tensorflow(verbose=False)
    evaluator = evaluator_for(dataset)
    options.num_images = options.num_images or evaluator.count
    samples = draw_samples(SavedGenerator(options.model).sample, options.num_images, options.seed)
    found, floor = evaluator.measure(samples), evaluator.floor() or {}
    found |= evaluator.memorisation(samples) or {}
    if "frechet" in floor:
        found["frechet_ratio"] = found["frechet"] / floor["frechet"]
        floor |= {"nearest_ratio": 1.0, "copies": 0.01, "frechet_ratio": 1.0}
    print_table(found, floor, evaluator.features, options)
    if options.json:
        result = {"generated": found, "test_images": floor, "images": options.num_images,
                  "seed": options.seed, "features": evaluator.features}
        write_text(options.json, json.dumps(result, indent=2) + "\n")
    return 0


EXPLANATIONS = {
    "frechet": "Fréchet distance to the training images; lower is better",
    "frechet_ratio": "the same as a multiple of the real test images'",
    "kid": "kernel distance to the training images",
    "precision": "share of images that look like real ones",
    "recall": "share of real images within the variety generated",
    "modes": "modes that occur",
    "kl": "Kullback-Leibler divergence of their shares from the data's, nats",
    "good": "share of points within 3 deviations of a mode",
    "spread": "distance of good points from their mode, in deviations",
    "classes": "classes that occur",
    "smallest_class": "share of the rarest class",
    "largest_class": "share of the most frequent class",
    "imbalance": "distance of the class shares from the data's",
    "confident": "share classified with a probability of 0.9 or more",
    "nearest_ratio": "distance to the nearest training image / that of test images",
    "copies": "share nearer to a training image than 99 % of the test images",
}


def print_table(found, floor, features, options):
    """Print generated and real figures side by side."""
    print(f"{options.num_images:,} samples, seeds from {options.seed}, compared in {features}")
    print(f"{'':16}{'generated':>10}{'real test':>11}")
    for name, text in EXPLANATIONS.items():
        if name in found:
            real = f"{floor[name]:11.4g}" if name in floor else " " * 11
            print(f"{name:16}{found[name]:10.4g}{real}  {text}")
    sys.stdout.flush()


if __name__ == "__main__":
    run_script("gan.evaluate", main)
