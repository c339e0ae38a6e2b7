"""Which options of a run go together, and which may change when it is continued."""

import dataclasses

from gan.common.errors import UserError
from gan.common.options import check_saved
from gan.data.names import SIMULATED as SIMULATED_NAMES

SIMULATED = {"arch": "mlp", "output": "auto", "condition": "none", "mirror": False}  # of points
UPSAMPLED = ("conv", "dcgan")  # architectures with transposed convolutions
RATES = ("lr_g", "lr_d")
# What may differ between the processes of a run: each one's own matter, or only the chief's.
OWN = {"dataset", "memory_share", "device", "max_minutes", "outdir", "resume", "overwrite",
       "verbose"}
# What was asked of an interrupted process is not asked of the one that continues.
FOR_ONCE = ("max_minutes", "overwrite", "dry_run", "verbose", "join_timeout")


def check_combination(config, given):
    """Refuse options that contradict each other.

    Args:
        config: `TrainConfig`.
        given: set of the names of the options that were given.

    Raises:
        UserError: naming the options.
    """
    try:
        config.outdir.encode()
    except UnicodeEncodeError as error:  # TensorFlow could not write the export there
        raise UserError("--outdir: expected the name of a folder in UTF-8, "
                        f"got: {config.outdir!r}") from error
    if config.resume and config.overwrite:
        raise UserError("--resume and --overwrite contradict each other: expected one of them")
    if config.devices != 1 and ":" in config.device:
        raise UserError("--devices needs --device auto, cpu or gpu, "
                        f"got: --device {config.device}")
    if config.clusters is not None and config.condition == "none":
        raise UserError("--clusters needs --condition labels, clusters or planes, "
                        "got: --condition none")
    if "components" in given and 2 * config.components > config.latent_dim and not config.resume:
        raise UserError(f"--components: expected at most half of --latent-dim, which is "
                        f"{config.latent_dim}, got: {config.components}")
    if config.label_smoothing and config.loss not in ("nonsaturating", "minimax"):
        raise UserError("--label-smoothing needs --loss nonsaturating or minimax, "
                        f"got: --loss {config.loss}")
    if config.loss == "wgan" and config.gradient_penalty == "none" and not config.spectral_norm:
        raise UserError("--loss wgan needs a --gradient-penalty or --spectral-norm, as nothing "
                        "else bounds its discriminator, got: neither")
    if config.keep_best and not config.metrics_interval and not config.resume:
        raise UserError("--keep-best needs --metrics-interval, got: --metrics-interval 0")
    for name in ("gp_weight", "gp_interval"):
        if name in given and config.gradient_penalty == "none" and not config.resume:
            raise UserError(f"{flag(name)} needs a --gradient-penalty, "
                            "got: --gradient-penalty none")
    plain_or_filtered = "upsampling" in given and config.upsampling != "auto"
    if plain_or_filtered and config.arch not in UPSAMPLED and not config.resume:
        raise UserError(f"--upsampling needs --arch {' or '.join(UPSAMPLED)}, "
                        f"got: --arch {config.arch}")
    if config.arch == "resnet" and bounded(config):
        raise UserError("--spectral-norm and --dropout need --arch conv, dcgan or mlp, "
                        "got: --arch resnet")
    if config.simulated and config.augment == "adaptive":
        raise UserError("--augment: expected for simulated points: none, got: adaptive")
    for name, value in SIMULATED.items() if config.simulated else ():
        if getattr(config, name) != value:
            expected = "leave it out" if value is False else value
            raise UserError(f"{flag(name)}: expected for simulated points: {expected}, "
                            f"got: {getattr(config, name)}")


def continued(config, saved, given):
    """Return the configuration of a resumed run, and what it changes.

    Args:
        config: `TrainConfig` from the command line.
        saved: dict, the interrupted run's configuration.
        given: set of option names that were given for this run.

    Returns:
        `(config, changes)`: the saved options with those given now, where they
        may change; and dict of name → (before, now), for those that change what
        is learned.

    Raises:
        UserError: naming the first option that was given with another value
            than the run can be continued with.
    """
    saved = check_saved(type(config), _renewed(saved))
    now = {name: getattr(config, name) for name in given | {"outdir"}}
    if "lr" in given:
        now |= {name: config.lr for name in RATES if name not in given}
    for field in dataclasses.fields(config):
        name, before = field.name, saved[field.name]
        if field.metadata["fixed"] and name in given and now[name] not in (before, "auto"):
            raise UserError(f"{flag(name)}: the run to resume has {before}, got: {now[name]}")
        if field.metadata["fixed"]:
            now.pop(name, None)
    if now.get("epochs", saved["epochs"]) < saved["epochs"]:
        raise UserError(f"--epochs: expected at least {saved['epochs']}, what the run to resume "
                        f"has, got: {now['epochs']}")
    anew = {field.name: field.default for field in dataclasses.fields(config)
            if field.name in FOR_ONCE}
    result = dataclasses.replace(config, **{**saved, **anew, **now, "resume": False})
    check_combination(result, given)
    learned = [field.name for field in dataclasses.fields(config)
               if field.metadata["group"] in ("objective", "training")]
    changes = {name: (saved[name], now[name]) for name in learned
               if name in now and name not in (*FOR_ONCE, "resume", "device")
               and now[name] != saved[name]}
    return result, changes


def _renewed(saved):
    """Return a saved configuration in the words of this version."""
    if saved.get("augment") is True:  # up to version 1.2
        raise UserError("--resume: expected a run of this version, as it has another --augment, "
                        "got one of an earlier version")
    if saved.get("augment") is False:
        saved = saved | {"augment": "none"}
    if saved.get("arch") in UPSAMPLED:  # up to version 1.3 there was no filter
        saved = {"upsampling": "plain"} | saved
    # Until version 1.5 the architecture decided on the output, and was of images.
    if saved.get("dataset") not in SIMULATED_NAMES:
        saved = {"output": "clip" if saved["arch"] in ("conv", "resnet") else "tanh"} | saved
    return {"components": 0, "output": "auto"} | saved  # components came with version 1.5


def bounded(config):
    """Whether the discriminator is to have layers that residual blocks are not made of."""
    return config.spectral_norm or config.dropout > 0


def divisible(config):
    """Return a `TrainConfig` whose batches, if known, every process gets an equal share of.

    Raises:
        UserError: when they cannot be shared.
    """
    if config.batch_size and config.batch_size % config.devices:
        raise UserError(f"--batch-size: expected a multiple of {config.devices}, the number of "
                        f"processes, got: {config.batch_size}")
    return config


def follower_of(config, given, leading):
    """Return the chief's configuration with what is this process' own matter.

    Args:
        config: `TrainConfig` from this process' command line.
        given: set of the names of the options that were given there.
        leading: dict, the chief's configuration.
    """
    own = {name: getattr(config, name) for name in OWN & given}
    return dataclasses.replace(config, **{**leading, **own})


def flag(name):
    """The option of a field: "gp_weight" → "--gp-weight"."""
    return "--" + name.replace("_", "-")
