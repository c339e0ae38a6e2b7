"""Every option of a training run, declared once.

The command line, `--help`, `config.json` and the checks of a resumed run are
all derived from the fields of `TrainConfig`. Nothing heavy is imported here, so
that `--help` and a mistyped option answer at once.
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass

from gan.errors import UserError
from gan.options import OptionParser, one_of, real_number, whole_number

GROUPS = {
    "data": "what is learned",
    "model": "the two networks",
    "objective": "the game they play",
    "training": "how long and how fast",
    "output": "what is written, and where",
}
POSITIVE = 1e-12  # the smallest number that counts as such


def option(default, group, help, parse=str, *, metavar=None, fixed=False):
    """Declare one option.

    Args:
        default: its value when not given; None means "decided by others".
        group: one of `GROUPS`, its heading in `--help`.
        help: what it does, with its unit.
        parse: function from the command line's text to the checked value;
            `bool` makes a switch.
        metavar: the placeholder in `--help`.
        fixed: whether a run keeps it for life: `--resume` refuses another value.
    """
    metadata = {"group": group, "help": help, "parse": parse, "metavar": metavar, "fixed": fixed}
    return dataclasses.field(default=default, metadata=metadata)


def choice(default, group, help, choices, **settings):
    """Declare an option that takes one of a few words."""
    return option(
        default, group, help, one_of(choices), metavar="{" + ",".join(choices) + "}", **settings
    )


@dataclass(frozen=True)
class TrainConfig:
    """All options of one training run; see `option` for the meaning of a field."""

    dataset: str = option(
        "mnist", "data",
        "mnist, fashion_mnist, a .npz file (x_train [N,H,W] or [N,H,W,C] uint8, and optionally "
        "y_train), or a folder of IDX files",
        metavar="NAME|PATH", fixed=True,
    )
    condition: str = choice(
        "auto", "data",
        "what the networks are told about each image: its label and its cluster within that "
        "label, its cluster among all images, or nothing; auto: labels if there are any, "
        "clusters otherwise",
        ("auto", "labels", "clusters", "none"), fixed=True,
    )
    clusters: int = option(
        None, "data",
        "number of k-means clusters: within each label, or among all images "
        "(default: 12 within each label, 256 among all images)",
        whole_number(1, 4096), metavar="N", fixed=True,
    )

    arch: str = choice(
        "dcgan", "model",
        "transposed convolutions (Radford 2015) or fully connected layers (Goodfellow 2014)",
        ("dcgan", "mlp"), fixed=True,
    )
    latent_dim: int = option(
        64, "model", "numbers in the latent vector z", whole_number(1, 4096),
        metavar="N", fixed=True,
    )
    base_channels: int = option(
        32, "model",
        "channels of the layer nearest the image, doubled at each halving of the size; "
        "the mlp has 8 times as many units a layer",
        whole_number(1, 1024), metavar="N", fixed=True,
    )

    loss: str = choice(
        "nonsaturating", "objective",
        "the game: cross entropy with the generator raising log D(G(z)), or, as in the original, "
        "lowering log(1 - D(G(z))) (both Goodfellow 2014); least squares (Mao 2017); hinge (Lim "
        "2017); Wasserstein (Arjovsky 2017); relativistic pairs (Jolicoeur-Martineau 2018)",
        ("nonsaturating", "minimax", "lsgan", "hinge", "wgan", "relativistic"), fixed=True,
    )
    label_smoothing: float = option(
        0.0, "objective",
        "how far the discriminator's target for real images lies below 1 (one-sided; "
        "nonsaturating and minimax only)",
        real_number(0, 0.5), metavar="X", fixed=True,
    )
    gradient_penalty: str = choice(
        "r1r2", "objective",
        "penalty on the discriminator's gradient: its square at real images (r1), at generated "
        "ones (r2) or both (Mescheder 2018), or its distance from 1 between them (Gulrajani 2017)",
        ("none", "r1", "r2", "r1r2", "wgan-gp"), fixed=True,
    )
    gp_weight: float = option(
        0.1, "objective", "weight of the gradient penalty (the paper of wgan-gp has 10)",
        real_number(0, 1e4), metavar="X", fixed=True,
    )
    gp_interval: int = option(
        4, "objective", "steps between two penalties, each weighted that much more",
        whole_number(1, 1000), metavar="N", fixed=True,
    )
    lr: float = option(
        1.5e-3, "objective", "Adam's learning rate, for both networks", real_number(POSITIVE, 1),
        metavar="X", fixed=True,
    )
    lr_g: float = option(
        None, "objective", "the generator's own learning rate (default: --lr)",
        real_number(POSITIVE, 1), metavar="X", fixed=True,
    )
    lr_d: float = option(
        None, "objective", "the discriminator's own learning rate (default: --lr)",
        real_number(POSITIVE, 1), metavar="X", fixed=True,
    )
    lr_decay: float = option(
        0.5, "objective",
        "share of the run, at its end, over which the rates fall to a tenth",
        real_number(0, 1), metavar="X", fixed=True,
    )
    beta1: float = option(
        0.0, "objective", "Adam's decay of the mean gradient, a step", real_number(0, 0.9999),
        metavar="X", fixed=True,
    )
    beta2: float = option(
        0.99, "objective", "Adam's decay of the mean square, a step", real_number(0, 0.999999),
        metavar="X", fixed=True,
    )

    epochs: int = option(
        6, "training", "passes over the data", whole_number(1, 10**6), metavar="N"
    )
    batch_size: int = option(
        64, "training", "real images a step, and as many generated ones", whole_number(2, 65536),
        metavar="N", fixed=True,
    )
    ema: float = option(
        0.998, "training",
        "decay a step of the average over the generator's weights that pictures and export "
        "are made with; 0: none",
        real_number(0, 0.999999), metavar="X", fixed=True,
    )
    mixed_precision: str = choice(
        "auto", "training",
        "number format of the layers; auto: float16 on a GPU with tensor cores, bfloat16 on a "
        "CPU that computes with it, float32 otherwise (off)",
        ("auto", "float16", "bfloat16", "off"), fixed=True,
    )
    max_minutes: float = option(
        None, "training",
        "stop after so many minutes from the start of the script, save and export "
        "(default: no limit)",
        real_number(0.01, 1e6), metavar="X",
    )
    seed: int = option(
        0, "training", "of all random numbers: the same seed, the same images",
        whole_number(0, 2**31 - 1), metavar="N", fixed=True,
    )
    resume: bool = option(
        False, "training",
        "continue the run that lies in --outdir, with its options; "
        "a larger --epochs makes a finished run go on", bool,
    )
    overwrite: bool = option(
        False, "training", "start anew where --outdir holds another run, which is deleted", bool
    )

    outdir: str = option(
        ".", "output", "folder that everything is written below", metavar="FOLDER"
    )
    num_samples: int = option(
        100, "output", "images in each epoch's picture", whole_number(1, 4096), metavar="N",
        fixed=True,
    )
    sample_interval: int = option(
        1, "output", "epochs between two pictures", whole_number(1, 10**6), metavar="N",
    )
    metrics_interval: int = option(
        0, "output",
        "epochs between two measurements of the generated images (Fréchet distance, precision, "
        "recall, …); 0: at the end only, and only if no network has to be trained for it",
        whole_number(0, 10**6), metavar="N",
    )
    checkpoint_interval: int = option(
        1, "output", "epochs between two checkpoints", whole_number(1, 10**6), metavar="N",
    )
    tensorboard: bool = option(
        False, "output", "write losses and pictures for TensorBoard to OUTDIR/tensorboard", bool
    )
    dry_run: bool = option(
        False, "output", "check everything, print the networks and the plan, and stop", bool
    )
    verbose: bool = option(False, "output", "show TensorFlow's own messages", bool)

    @classmethod
    def from_arguments(cls, arguments=None):
        """Parse a command line.

        Args:
            arguments: list of strings; None takes the process's own.

        Returns:
            `(config, given)`: the configuration, and the set of the names of
            the options that were given rather than left at their default.

        Raises:
            UserError: naming the option, what was expected and what arrived.
        """
        given = vars(_parser().parse_args(arguments))
        return cls(**given).resolved(), set(given)

    def resolved(self):
        """Return the configuration with dependent defaults filled in.

        Raises:
            UserError: when two options contradict each other.
        """
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite contradict each other: expected one of them")
        if self.clusters is not None and self.condition == "none":
            raise UserError(
                "--clusters: expected --condition labels or clusters with it, "
                "got: --condition none"
            )
        if self.label_smoothing and self.loss not in ("nonsaturating", "minimax"):
            raise UserError("--label-smoothing: expected --loss nonsaturating or minimax, whose "
                            f"targets it moves, got: --loss {self.loss}")
        if self.loss == "wgan" and self.gradient_penalty == "none":
            raise UserError("--loss wgan: expected a --gradient-penalty, as nothing else bounds "
                            "its discriminator, got: none")
        return dataclasses.replace(
            self,
            lr_g=self.lr if self.lr_g is None else self.lr_g,
            lr_d=self.lr if self.lr_d is None else self.lr_d,
        )

    def to_json(self):
        """Return the configuration as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def continued(self, saved, given):
        """Return the configuration of a resumed run.

        Args:
            saved: dict, the interrupted run's configuration.
            given: set of option names that were given for this run.

        Returns:
            The saved options, with those given now where they may change.

        Raises:
            UserError: naming the first option that was given with another value
                than a run can take up.
        """
        unknown = saved.keys() - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise UserError(f"--resume: the checkpoint has an unknown option: {min(unknown)}")
        keep = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not field.metadata["fixed"]:
                if field.name in given or field.name == "outdir":
                    keep[field.name] = value
                continue
            before = saved.get(field.name, field.default)
            if field.name in given and value != before:
                raise UserError(
                    f"--{field.name.replace('_', '-')}: the run to resume has {before}, "
                    f"got: {value}"
                )
        if self.epochs < saved["epochs"] and "epochs" in given:
            raise UserError(f"--epochs: expected at least {saved['epochs']}, what the run to "
                            f"resume has, got: {self.epochs}")
        # What was asked of the interrupted process is not asked of this one.
        for_once = {"max_minutes": None, "overwrite": False, "dry_run": False, "verbose": False}
        return dataclasses.replace(self, **{**saved, **for_once, **keep, "resume": False})


def _parser():
    parser = OptionParser(
        prog="train_gan.py",
        description="Train a generator and a discriminator against each other, save a picture "
        "for every epoch, and export the generator as a SavedModel.",
        epilog="Options may be spelled with underscores: --batch_size is --batch-size.",
    )
    groups = {name: parser.add_argument_group(f"{name}: {GROUPS[name]}") for name in GROUPS}
    for field in dataclasses.fields(TrainConfig):
        about = field.metadata
        name = "--" + field.name.replace("_", "-")
        # Options that are not given stay out of the result, so that a resumed
        # run can tell them from those that were given their default.
        settings = {"dest": field.name, "default": argparse.SUPPRESS, "help": about["help"]}
        if about["parse"] is bool:
            settings |= {"action": "store_true"}
        else:
            settings |= {"type": about["parse"], "metavar": about["metavar"]}
            if field.default is not None:
                settings["help"] += f" (default: {field.default:g})" if isinstance(
                    field.default, float
                ) else f" (default: {field.default})"
        groups[about["group"]].add_argument(name, **settings)
    return parser
