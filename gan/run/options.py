"""Options of a run: from a command line, a config.json, or the run that is continued."""

import argparse
import dataclasses
import os
from pathlib import Path

from gan.common.command_line import OptionParser, add_option, check_value, file, flag, say
from gan.common.errors import UserError, reading
from gan.common.files import read_json
from gan.config import FIELDS, Facts, TrainConfig
from gan.data.datasets import READ_OPTIONS, is_picture_folder, options_for
from gan.data.pixels import Background
from gan.run.checkpoint import load_newest
from gan.run.exported import find_export, read_metadata

GROUPS = {
    "data": "what is learned",
    "model": "the two networks",
    "objective": "what the two networks minimize",
    "training": "how long and how fast",
    "output": "what is written, and where",
}
# What `--help` shows the defaults for.
EXAMPLES = {"mnist": Facts((60_000, 28, 28, 1), 6_742, Background((0,), 70.0)),
            "5,000 photos": Facts((5_000, 64, 64, 3)), "points": Facts((102_400, 2))}
# These depend on more than that.
UNSHOWN = {"dataset", "image_size", "channels", "device", "mixed_precision"}
# What was asked of a process is not asked of the one that continues or repeats its run.
FOR_ONCE = ("max_minutes", "overwrite", "dry_run", "verbose")
# Options that may differ between the processes of a run: each one's own, or only the chief's.
PER_PROCESS = {"dataset", "memory_share", "device", "max_minutes", "outdir", "resume",
               "overwrite", "verbose"}


def parse_options(argv=None):
    """Parse a list of str (None: `sys.argv`); returns a `TrainConfig` and the names given."""
    given = vars(make_parser().parse_args(argv))
    return make_config(**given), set(given) - {"config"}


def make_config(config=None, **given):
    """Return a `TrainConfig` with these options; a config.json provides the others."""
    options = {**(repeated_options(config, given) if config else {}), **given}
    source = options.get("init_from", "none")
    if source != "none":
        options = {**network_options(source, options), **given}
    config = TrainConfig(**options)
    config.check(set(given))
    # The run may be resumed from another folder.
    named = {"dataset": config.named, "init_from": source == "none"}
    paths = {name: os.path.abspath(os.path.expanduser(getattr(config, name)))
             for name, known in named.items() if not known}
    return dataclasses.replace(config, **paths)


def make_parser():
    parser = OptionParser(
        prog="train_gan.py", usage="%(prog)s [OPTIONS]",
        description="Train a generator and a discriminator against each other, save a sample grid "
        "after every epoch, and export the generator as a SavedModel.",
        epilog="Defaults that depend on the data are those of MNIST, of 5,000 color photos of 64 x "
        "64 pixels, and of 102,400 points, on a CPU. Options may be spelled with underscores.",
    )
    examples = {name: TrainConfig().completed(facts) for name, facts in EXAMPLES.items()}
    headings = {name: parser.add_argument_group(f"{name}: {GROUPS[name]}") for name in GROUPS}
    headings["data"].add_argument(
        "--config", type=file, metavar="FILE", default=argparse.SUPPRESS,
        help="take options from the config.json of another run")
    for field in FIELDS.values():
        add_option(headings[field.metadata["group"]], field, default_words(field, examples))
    return parser


def default_words(field, examples):
    """Return an option's default in words: "default: 64; points: 256"; "" for a switch."""
    if field.default is False or field.name in UNSHOWN:
        return ""
    values = {name: getattr(config, field.name) for name, config in examples.items()}
    values = {name: f"{value:.3g}" if isinstance(value, float) else str(value)
              for name, value in values.items()}
    first = values.pop("mnist")
    others = [f"{name}: {value}" for name, value in values.items() if value != first]
    named = "auto" if field.default == "auto" else "default"
    return "; ".join([f"{named}: {first}", *others])


def repeated_options(path, given):
    """Return the options in a run's config.json, but for those that `given` ones replace."""
    if "resume" in given:
        raise UserError("--config has no effect on a run that is resumed; expected no --resume")
    options = read_options(path)
    left_out = {"outdir", "resume", "device", "minutes", *FOR_ONCE}
    if given.get("minutes"):
        left_out.add("epochs")
    if "lr" in given:
        left_out |= {"lr_g", "lr_d"}
    if given.get("condition") == "none":
        left_out |= {"clusters", "components"}
    left_out |= READ_OPTIONS.keys() - options_for(given.get("dataset", options["dataset"]))
    return {name: value for name, value in options.items() if name not in left_out}


def network_options(path, options):
    """Return options with those of the networks of a run or an export, for `--init-from`."""
    if "resume" in options:
        raise UserError("--init-from has no effect on a run that is resumed: expected no --resume")
    if (run := Path(path) / "config.json").exists():
        theirs = read_options(run)
    else:
        theirs = run_options(read_metadata(find_export(path), "--init-from")["config"])
    names = {name for name, field in FIELDS.items() if field.metadata["group"] == "model"}
    if is_picture_folder(options.get("dataset", "")):
        names |= {"image_size", "channels"}
    return options | {name: theirs[name] for name in names}


def read_options(path):
    """Return the checked options in a config.json."""
    options = read_json(path, "the options of a run")
    options.pop("changes", None)
    return run_options(options)


# What runs of earlier versions did.
EARLIER = {"detail_weight": 0.0, "max_channels": 0, "blocks": 1}


def run_options(options):
    """Return all options of a run, of this version or an earlier one, that JSON holds."""
    return check_options(EARLIER | options)


def check_options(options):
    """Return all options of a run that JSON holds; what it lacks has its default."""
    for name, value in sorted(options.items()):
        if name not in FIELDS:
            raise UserError(f"{name:.60}: expected an option of train_gan.py")
        if value is not None or name not in ("image_size", "channels"):  # points have none
            check_value(FIELDS[name], value)
    return {name: options.get(name, field.default) for name, field in FIELDS.items()}


# Options of a run that is resumed, or that several processes train.


def resume(config, given, folder):
    """Load the newest checkpoint in a `RunFolder`, and say what changes.

    `given` names the options on the command line. Returns `(config, checkpoint, changes)`,
    see `resumed`.
    """
    checkpoint = load_newest(folder.checkpoints)
    with reading(folder.checkpoints, "a checkpoint of this version"):
        config, changes = resumed(config, given, checkpoint.config)
    for name, (before, now) in changes.items():
        say("changed", f"{name} from {before} to {now}, from step {checkpoint.step:,} on")
    if "epochs" in changes and config.lr_decay > 0:
        say("note", f"the learning rates now fall towards epoch {config.epochs}, not "
            f"{changes['epochs'][0]}")
    return config, checkpoint, changes


def resumed(config, given, saved):
    """Return `(config, changes)` of a run that is resumed, whose options `saved` is a dict of.

    They are the saved options with those given now, where they may change; and dict of
    name → (before, now) for those that change what is learned.
    """
    saved = run_options(saved)
    now = {name: getattr(config, name) for name in given}
    if "lr" in given:
        now = {"lr_g": config.lr, "lr_d": config.lr, **now}
    for name, field in FIELDS.items():
        if field.metadata["fixed"] and now.pop(name, saved[name]) not in (saved[name], "auto"):
            raise UserError(f"{flag(name)}: the run to resume has {saved[name]}, "
                            f"got: {getattr(config, name)}")
    if now.get("epochs", saved["epochs"]) < saved["epochs"]:
        raise UserError(f"--epochs: expected at least {saved['epochs']}, what the run to "
                        f"resume has, got: {now['epochs']}")
    anew = {name: FIELDS[name].default for name in FOR_ONCE}
    if saved["device"].startswith("gpu"):
        anew["device"] = "auto"  # this machine may have none
    result = dataclasses.replace(
        config, **{**saved, **anew, **now, "resume": False, "outdir": config.outdir})
    result.check(given)
    changes = {name: (saved[name], now[name]) for name, field in FIELDS.items()
               if field.metadata["group"] in ("objective", "training")
               and name in now.keys() - {*FOR_ONCE, "resume", "device"}
               and now[name] != saved[name]}
    return result, changes


def following(config, given, leading):
    """Return the chief's configuration, a dict, with what is this process' own matter."""
    own = {name: getattr(config, name) for name in PER_PROCESS & given | {"device"}}
    return dataclasses.replace(config, **{**leading, **own})
