"""Folders that hold what a run did not write: files, links, FIFOs, and layouts of data."""

import os
import shutil
import socket

import numpy as np
from fuzz_damage import DRY
from fuzz_trial import Trial, below, drop_privileges
from PIL import Image

SMALL = ["--base-channels", "2", "--latent-dim", "4", "--batch-size", "16", "--num-samples", "4",
         "--mixed-precision", "off", "--condition", "none", "--epochs", "1"]
NAMES = ("checkpoints/my_resnet.pt", "checkpoints/step_000001000.npz", "checkpoints/best.npz",
         "exported_model/saved_model.pb", "exported_model/assets.extra/gan.json",
         "exported_model/thesis.txt", "exported_model", "tensorboard/events.mine",
         "tensorboard/events.out.tfevents.1.gan", "generated_images/epoch_final.png",
         "generated_images/epoch_0001.png", "generated_images/epoch_12345.png",
         "generated_images/real_samples.png", "generated_images/holiday.png", "generated_images",
         "config.json", "history.csv", "summary.json", "loss_curves.png", "training.gif",
         "report.html", ".partial-thesis", "notes.txt", "generated/grid.png",
         "generated/seed_000001.png", "generated/interpolation.gif", "images.npz", "checkpoints")
HARMLESS = ("generated_images/holiday.png", "report.html", ".partial-thesis", "notes.txt",
            "generated/grid.png", "generated/seed_000001.png", "tests/epoch_0001.png",
            "training.gif.bak", "checkpoints.txt", "exported_model.zip")  # in nobody's way
TRACES = ("history.csv", "summary.json", "loss_curves.png", "training.gif", "exported_model",
          "checkpoints", "generated_images", "generated_images/epoch_0002.png")
FORCED = ("grid.png", "images.npz", "interpolation.gif", "seed_000001.png", "training.gif")
FORMS = (["--grid", "2x2"], ["--npz", "--num-images", "3"], ["--num-images", "3"],
         ["--interpolate", "0,1", "--frames", "2"])
SPLITS = ("train", "Train", "TRAIN", "training", "test", "Test", "testing", "val", "valid",
          "Validation", "dev", "eval")


def write_theirs(path, chance):
    """Write somebody's own file of a name; returns whether there was a place for it."""
    if os.path.lexists(path) and path.is_dir():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:  # one of the folders is a file
        return False
    if path.suffix in (".png", ".gif") and chance.random() < 0.7:
        Image.new("L", (8, 8), 7).save(path)
    elif path.suffix == ".npz" and chance.random() < 0.7:
        np.savez(path, weights=np.arange(4))
    elif path.suffix == ".json" and chance.random() < 0.7:
        path.write_text('{"dataset": "mine", "epochs": 3, "metrics": {}}')
    elif path.suffix == ".csv" and chance.random() < 0.7:
        path.write_text("epoch,loss\n1,0.5\n")
    else:
        path.write_bytes(b"mine " + chance.randbytes(40))
    return True


def train_command(made, chance):
    """A command that would begin, replace or continue a run here."""
    data = ["--dataset", made / "data.npz", *SMALL]
    return Trial("train_gan", chance.choice((data, data, [*data, "--overwrite"], ["--resume"])))


def any_command(made, chance):
    """A command that writes here."""
    script, force = chance.choice(("train_gan", "train_gan", "generate", "make_gif")), []
    if script == "train_gan":
        return train_command(made, chance)
    if chance.random() < 0.3:
        force = ["--force"]
    if script == "generate":
        model = chance.choice(([], ["--model", made / "run/exported_model"]))
        place = chance.choice((".", "generated", "generated_images", "exported_model"))
        return Trial(script, [*model, *chance.choice(FORMS), "--outdir", place, *force])
    pictures = chance.choice(([], ["--images", made / "run/generated_images"]))
    output = chance.choice(("training.gif", "training.gif", "generated/interpolation.gif",
                            "generated_images/epoch_0001.png"))
    return Trial(script, [*pictures, "--output", output, *force])


def foreign_input(folder, chance, made):
    """Somebody's own files, alone or beside a run; what --force names may be replaced."""
    if chance.random() < 0.4:
        shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    names = chance.sample(chance.choice((NAMES, HARMLESS)), chance.choice((1, 1, 2, 5)))
    theirs = [folder / name for name in names if write_theirs(folder / name, chance)]
    trial = any_command(made, chance)
    if "--force" in trial.arguments:
        theirs = [path for path in theirs if path.name not in FORCED]
    return trial._replace(theirs=below(*theirs))


def trace_input(folder, chance, made):
    """One part of a finished run: begun again without --overwrite, it must be refused."""
    name = chance.choice(TRACES)
    source, path = made / "run" / name, folder / name
    path.parent.mkdir(exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, path)
    return Trial("train_gan", ["--dataset", made / "data.npz", *SMALL], theirs=below(path),
                 codes=(2,))


def link_input(folder, chance, made):
    """Places of a run that are links, to folders and files with somebody's own content."""
    if chance.random() < 0.5:
        shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    elsewhere, theirs = folder.parent / "elsewhere", []
    elsewhere.mkdir()
    for name in chance.sample(("checkpoints", "generated_images", "exported_model", "tensorboard",
                               "history.csv", "config.json", "training.gif"),
                              chance.choice((1, 1, 2))):
        link, target = folder / name, elsewhere / name
        kind = chance.choice(("own", "foreign", "both", "dangling", "file", "loop"))
        whole = made / "run" / name
        if kind in ("own", "both"):
            (shutil.copytree if whole.is_dir() else shutil.copy2)(whole, target)
        if kind in ("foreign", "both") and (whole.is_dir() or kind == "foreign"):
            mine = [place for place in NAMES if place.startswith(name + "/")] or [name]
            places = [elsewhere / place for place in chance.sample(mine, chance.choice((1, 2))
                                                                   if len(mine) > 1 else 1)]
            theirs += [path for path in places if write_theirs(path, chance)]
        elif kind == "file":
            theirs += [target] if write_theirs(target, chance) else []
        elif kind == "loop":
            target = link
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        theirs += [link] if kind in ("dangling", "file", "loop") else []
    trial = any_command(made, chance)
    if chance.random() < 0.3:
        trial = Trial("train_gan", ["--dataset", made / "data.npz", *SMALL, "--overwrite"])
    # --force would ask for the file that a link leads to.
    return trial._replace(arguments=[part for part in trial.arguments if part != "--force"],
                          theirs=below(*theirs))


def special_input(folder, chance, made):
    """A FIFO, a socket or a device where a file is expected."""
    shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    data = ["--dataset", made / "data.npz", *SMALL]
    name, script, arguments = chance.choice((
        ("in.npz", "train_gan", ["--dataset", "in.npz", *DRY[2:]]),
        ("in/a.png", "train_gan", DRY), ("in/x/a.png", "train_gan", [*DRY, "--skip-broken"]),
        ("in/train-images-idx3-ubyte", "train_gan", DRY),
        ("in/train-images-idx3-ubyte.gz", "train_gan", DRY),
        ("checkpoints/step_000000999.npz", "train_gan", ["--resume"]),
        ("checkpoints/step_000000999.npz", "train_gan", [*data, "--overwrite"]),
        ("config.json", "train_gan", ["--resume"]), ("history.csv", "train_gan", data),
        ("summary.json", "train_gan", [*data, "--overwrite"]),
        (".train_gan.lock", "train_gan", data),
        ("generated_images/epoch_0001.png", "train_gan", ["--resume"]),
        ("generated_images/epoch_0001.png", "make_gif", ["--output", "new.gif"]),
        ("out.gif", "make_gif", ["--output", "out.gif"]),
        ("exported_model/assets.extra/gan.json", "generate", ["--grid", "2x2"]),
        ("exported_model/saved_model.pb", "generate", ["--grid", "2x2"]),
        ("exported_model/variables/variables.index", "generate", ["--grid", "2x2"]),
        ("generated/grid.png", "generate", ["--grid", "2x2"]),
        ("generated", "generate", ["--grid", "2x2"]),
    ))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if path.suffix == ".png" and name.startswith("in/"):
        for place in {path.parent, folder / "in/y"} if "/x/" in name else {path.parent}:
            write_pictures(place, 16)
    kind = chance.choice(("fifo", "fifo", "socket", "/dev/null", "/dev/zero", "/dev/tty"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket has at most 107 bytes
            bound.bind(path.name)
            os.chdir(here)
    else:
        path.symlink_to(kind)
    lock = name == ".train_gan.lock"  # it may be taken for what a dead process left
    return Trial(script, arguments, theirs=frozenset() if lock else below(path))


def write_pictures(folder, count, suffix=".png"):
    """Write pictures of 16 pixels; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", (16, 16), 9 * number % 256).save(folder / f"{number}{suffix}")
    return count


def layout_input(folder, chance, made):
    """A folder of pictures in some order.

    `expected` is the images and classes that there are to learn, where only one
    answer is right or what was done must be told, else None.
    """
    root, count, classes, plain = folder / "in", 0, 0, True
    names = chance.choice((["a", "b"], ["a", "b", "c"], ["only"], []))
    splits = chance.sample(SPLITS, chance.choice((0, 1, 2, 2, 3)))
    if len({split.lower()[:3] for split in splits}) < len(splits):
        plain = False  # two of a kind
    for split in splits or ["."]:
        for name in names or ["."]:
            written = write_pictures(root / split / name, chance.randrange(16, 24))
            if split == "." or split.lower().startswith("train"):
                count, classes = count + written, len(names) if len(names) > 1 else 0
    if splits and not count:
        plain = False  # nothing says which of them to learn
    first = root / splits[0] if splits else root / names[0] if names else root
    what = chance.choice(("nothing", chance.choice(tuple(DISTURBANCES))))
    if what != "nothing":
        DISTURBANCES[what](root, first)
    if what == "other formats" and (not splits or first.name.lower().startswith("train")):
        count += 4
    plain = plain and what in ("nothing", "empty folder", "hidden", "other files", "other formats")
    skipping = chance.choice(([], [], ["--skip-broken"]))
    return Trial("train_gan", [*DRY, *skipping], before=drop_privileges,
                 expected=(count, classes) if plain else None)


def _write_hidden(root, first):
    for name in (".DS_Store", "._0.png", ".hidden/0.png", "Thumbs.db"):
        (first / name).parent.mkdir(exist_ok=True)
        (first / name).write_bytes(b"\0\5\x16\7")


def _write_others(root, first):
    for name in ("README.txt", "labels.csv", "model.h5"):
        (root / name).write_text("0,1\n")


def _write_formats(root, first):
    for suffix, kind in ((".gif", "GIF"), (".bmp", "BMP"), (".tiff", "TIFF"), (".PNG", "PNG")):
        Image.new("L", (16, 16), 77).save(first / f"more{suffix}", kind)


def _close_pictures(root, first):
    for path in sorted(first.rglob("*.png"))[:2]:
        path.chmod(0)


def _close_folder(root, first):
    write_pictures(root / "closed", 3)
    (root / "closed").chmod(0)


DISTURBANCES = {  # functions of (folder, the first folder in it) that add what lies beside pictures
    "empty folder": lambda root, first: (root / "empty").mkdir(),
    "hidden": _write_hidden,
    "other files": _write_others,
    "other formats": _write_formats,
    "mixed": lambda root, first: write_pictures(root, 3),
    "unreadable": _close_pictures,
    "unreadable folder": _close_folder,
    "text as picture": lambda root, first: (first / "x.png").write_text("not a picture"),
    "deeper": lambda root, first: write_pictures(first / "x/y/z", 4),
    "link": lambda root, first: (first / "again").symlink_to(first),
}
