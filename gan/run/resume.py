"""Options of a run that is resumed, or that several processes train."""

import dataclasses

from gan.common.command_line import flag, say
from gan.common.errors import UserError, reading, warn
from gan.config import FIELDS, FOR_ONCE, check_options
from gan.run.checkpoint import load_newest

# What may differ between the processes of a run: each one's own matter, or only the chief's.
OWN = {"dataset", "memory_share", "device", "max_minutes", "outdir", "resume", "overwrite",
       "verbose"}


def resume(config, given, folder):
    """Find out what is resumed, and say what changes.

    Args:
        config: `TrainConfig` of the command line.
        given: names of the options that were given there.
        folder: `RunFolder`.

    Returns:
        `(config, checkpoint, changes)`, see `resumed`.
    """
    checkpoint = load_newest(folder.checkpoints, warn)
    with reading(folder.checkpoints, "a checkpoint of this version"):
        config, changes = resumed(config, given, checkpoint.config)
    for name, (before, now) in changes.items():
        say("changed", f"{name} from {before} to {now}, from step {checkpoint.step:,} on")
    if "epochs" in changes and config.lr_decay > 0:
        say("note", f"the learning rates now fall towards epoch {config.epochs}, not "
            f"{changes['epochs'][0]}")
    return config, checkpoint, changes


def resumed(config, given, saved):
    """Return the configuration of a resumed run, and what it changes.

    Args:
        config, given: as for `resume`.
        saved: dict, the interrupted run's configuration.

    Returns:
        `(config, changes)`: the saved options with those given now, where they may change;
        and dict of name → (before, now), for those that change what is learned.

    Raises:
        UserError: naming the first option that the run cannot be resumed with.
    """
    saved = check_options(saved)
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
    own = {name: getattr(config, name) for name in OWN & given | {"device"}}
    return dataclasses.replace(config, **{**leading, **own})
