"""Write a data set as shards, for data that are larger than one machine's memory.

    python -m gan.shards photos photos_shards
    python train_gan.py --dataset photos_shards
    python -m gan.shards --check photos_shards
"""

import dataclasses
from pathlib import Path

from gan.common.command_line import (
    OptionParser,
    add_option,
    folder,
    real_number,
    shape_in_words,
    whole_number,
)
from gan.common.errors import UserError, counted, one_line, printable, run_script
from gan.config import TrainConfig
from gan.data.datasets import READ_OPTIONS, load_dataset
from gan.data.shards import check_shards, refuse_unmanaged, write_shards
from gan.run.options import make_config

MEGABYTE = 10**6
# Of train_gan.py's options those that say what is written.
OPTIONS = [field for field in dataclasses.fields(TrainConfig)
           if field.metadata["group"] == "data"
           and field.name not in ("dataset", "memory_share")]


def make_parser():
    parser = OptionParser(prog="python -m gan.shards", description="Write a data set as shards, "
                          "which training reads from the disk while it goes on, or check them.")
    add = parser.add_argument
    add("source", nargs="?", metavar="SOURCE", help="what --dataset of train_gan.py takes")
    add("target", nargs="?", type=folder, metavar="TARGET",
        help="the folder to write; then train_gan.py --dataset TARGET")
    add("--check", type=folder, metavar="FOLDER",
        help="read all files of shards that were written, and compare their checksums")
    add("--shard-size", type=real_number(0.001, 10**6), default=1000, metavar="MB",
        help="largest size of a shard in megabytes (default: 1000)")
    add("--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N",
        help="of the order of the images and of their clusters (default: 0)")
    for field in OPTIONS:
        add_option(parser, field)
    add("--force", action="store_true", help="replace shards that lie in TARGET")
    return parser


def main():
    options = make_parser().parse_args()
    if options.check and options.source:
        raise UserError(f"--check: expected one folder and nothing else, got: {options.source}")
    if options.check:
        path = Path(options.check)
        show(path, check_shards(path))
        print("all checksums fit")
        return 0
    if not options.target:
        raise UserError("expected SOURCE and TARGET, or --check FOLDER, got: "
                        f"{options.source or 'nothing'}")
    show(Path(options.target), write(options))
    return 0


def write(options):
    """Write shards as the command line says; returns their index."""
    refuse_unmanaged(options.target, options.force)
    given = {field.name: getattr(options, field.name) for field in OPTIONS if field.name in options}
    config = make_config(dataset=options.source, **given)
    dataset = load_dataset(config.dataset, **{name: getattr(config, name) for name in READ_OPTIONS})
    if dataset.box:
        raise UserError(f"expected images, got the points of {options.source}")
    config = config.for_data(dataset)
    return write_shards(dataset, options.target, options.shard_size * MEGABYTE, options.seed,
                        config.condition, config.clusters, config.components, options.force)


def show(path, index):
    shards, classes = index["shards"], len(index["class_names"])
    size = sum(shard["bytes"] for shard in shards) / MEGABYTE
    print(f"{one_line(path)}: {printable(index['name'])}, {index['count']:,} images of "
          f"{shape_in_words(index['shape'])} in {counted(len(shards), 'shard')} of {size:,.1f} MB "
          f"together, {f'{classes} classes' if classes else 'no labels'}, "
          f"conditions: {(index.get('conditions') or {}).get('kind', 'not stored')}, "
          f"fingerprint {index['fingerprint']}")


if __name__ == "__main__":
    run_script("gan.shards", main)
