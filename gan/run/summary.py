"""Summary of a run: printed at its end, and written as summary.json."""

import os
import platform
import shlex
import sys
from pathlib import Path

from gan import __version__
from gan.common.command_line import say
from gan.common.errors import counted, printable


def summary_of(loop, metrics, verdict, finished, device):
    """Return the results of a `Loop` as a dict for JSON; no `Verdict` before the first epoch."""
    rows = loop.history.rows
    seconds = {name: round(value, 2) for name, value in loop.timers.seconds.items()}
    return {
        "finished": finished,
        "epochs": len(rows),
        "steps": int(loop.state.step),
        "verdict": verdict and {"kind": verdict.kind, "finding": verdict.finding,
                                "text": str(verdict)},
        "metrics": {"generated": metrics, "real": loop.evaluator.real(),
                    "real_source": loop.evaluator.real_source(),
                    "features": loop.evaluator.features(),
                    "left_out": loop.evaluator.left_out},
        "losses": {name: rows[-1][name] for name in ("discriminator_loss", "generator_loss")}
        if rows else {},
        # Of this process, except for the last, which a resumed run adds up.
        "seconds": {**seconds, "whole process": round(loop.timers.total(), 2),
                    "training of the whole run": round(loop.history.seconds, 2)},
        "devices": loop.trainer.replica.world_size,
        **circumstances(device, loop.dataset, loop.config),
    }


def circumstances(device, dataset, config):
    """Return a run's data, `Device`, versions and command line as a dict for JSON."""
    import keras
    import tensorflow as tf

    return {
        "data": {"name": dataset.name, "samples": len(dataset.images),
                 "shape": list(dataset.sample_shape), "classes": list(dataset.class_names),
                 **dataset.facts},
        "device": device.name,
        "precision": device.policy,
        "versions": {"gan": __version__, "python": platform.python_version(),
                     "tensorflow": tf.__version__, "keras": keras.__version__},
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "loss": loss_facts(config.loss, config.label_smoothing),
    }


def loss_facts(name, smoothing):
    """Return whether a loss has a probability, and its values at equilibrium, for JSON."""
    from gan.losses import LOSSES, equilibrium, is_log_odds

    loss = LOSSES.get(name)  # None where it is not registered any more
    return {"log_odds": bool(loss and is_log_odds(loss)),
            "equilibrium": equilibrium(loss, smoothing) if loss else {}}


def print_summary(summary, quality, config, folder):
    """Print a summary, its metrics in words (heading, text), and the next commands."""
    print("" if summary["finished"] else "time is up: ", end="")
    print(f"trained {summary['epochs']} of {counted(config.epochs, 'epoch')}, "
          f"{counted(summary['steps'], 'step')}; "
          f"{summary['seconds']['whole process']:.0f} s in all")
    if summary["losses"]:
        say("losses", "discriminator {discriminator_loss:.3f}, generator {generator_loss:.3f} "
            "(mean of the last epoch)".format(**summary["losses"]))
    for heading, text in quality:
        say(heading, text)
    if summary["verdict"]:
        say("verdict", summary["verdict"]["text"])
    written = [("pictures", folder.images), ("history", folder.history), ("log", folder.log),
               ("curves", folder.loss_curves), ("summary", folder.summary),
               ("report", folder.report),
               ("checkpoint", folder.checkpoints), ("generator", folder.export)]
    for name, path in written:
        if path.exists():
            say(name, printable(path))
    print("\nnext:")
    print(f"  {command('generate.py', folder, '--model')} --output samples.png")
    print(f"  {command('make_gif.py', folder, '--images')}")
    if not summary["finished"]:
        print(f"  {continuation(folder, config.devices)}")


def continuation(folder, devices):
    """Return the command that continues a run."""
    options = f" --devices {devices}" if devices != 1 else ""
    return f"{command('train_gan.py', folder, '--outdir')} --resume{options}"


def command(script, folder, option):
    """Return a command that works where this one was typed; `option` takes the `RunFolder`."""
    from_script = os.path.basename(sys.argv[0]) in ("train_gan.py", "make_gif.py", "generate.py")
    scripts = os.path.dirname(sys.argv[0]) if from_script else Path(__file__).parents[2]
    words = ["python", os.path.join(scripts, script)]
    path = str(folder.path)
    if path != ".":
        words += [option, os.path.join(".", path) if path.startswith("-") else path]
    return printable(shlex.join(words))
