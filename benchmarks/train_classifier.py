"""Training of the classifier that comes with the package.

    python benchmarks/train_classifier.py --output gan/assets/mnist_classifier.npz
"""

from common import ROOT  # noqa: F401, which makes the package importable

from gan.common.command_line import OptionParser, file
from gan.common.device import import_tensorflow
from gan.common.errors import run_script
from gan.common.files import refuse_existing
from gan.data.datasets import load_dataset
from gan.evaluate.features import save_network, train_classifier


def main():
    """Train a classifier and write it to a file; returns the exit code."""
    parser = OptionParser(description="Train the classifier of MNIST.")
    parser.add_argument("--output", type=file, required=True, help="the .npz file to write")
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")
    options = parser.parse_args()
    refuse_existing(options.output, options.force, "--output")
    dataset = load_dataset("mnist")
    import_tensorflow(verbose=False)
    classifier = train_classifier(dataset)
    save_network(options.output, classifier, dataset.fingerprint)
    return 0


if __name__ == "__main__":
    run_script("train_classifier.py", main)
