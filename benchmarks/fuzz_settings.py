"""What surrounds a run: closed streams, encodings, moved data; and data that is very small."""

import json
import os
import shutil
import sys
import zipfile

import numpy as np
from fuzz_damage import DRY
from fuzz_folders import FORMS, SMALL, write_pictures
from fuzz_trial import Trial

BROKEN_PIPE = 141
BAD_NAMES = ("\x1b[31mred", "a\x07b\x08c", "x\x9b31my", "été", "数字", "\udcff\udcfe", "a\rb",
             "\U0001f600", "right\u202eleft", "\x1b]0;title\x07")
ENCODINGS = ("ascii", "cp932", "latin-1", "cp1252", "utf-8")
LOCALES = (
    {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp932"}, {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)


def close_streams(names, how):
    """Return a function that closes, breaks or fills standard streams in a process."""
    def act():
        for name in names:
            number = ("stdin", "stdout", "stderr").index(name)
            if how == "closed":
                os.close(number)
                setattr(sys, name, None)  # as Python finds it at its start
            elif how == "pipe":
                reader, writer = os.pipe()
                os.dup2(writer, number)
                os.close(reader)
                os.close(writer)
            else:
                full = os.open("/dev/full", os.O_RDWR)
                os.dup2(full, number)
                os.close(full)
    return act


def stream_input(folder, chance, made):
    """A command with some of its standard streams closed, or nobody at their other end."""
    how = chance.choice(("closed", "closed", "pipe", "full"))
    names = chance.choice((["stdout"], ["stdout"], ["stderr"], ["stdin"], ["stdout", "stderr"],
                           ["stdin", "stdout", "stderr"]))
    export, data = made / "run/exported_model", made / "data.npz"
    script, arguments = chance.choice((
        ("train_gan", ["--dataset", data, *DRY[2:]]), ("train_gan", ["--dataset", data, *SMALL]),
        ("train_gan", ["--help"]), ("train_gan", ["--no-such-option"]), ("train_gan", ["--resume"]),
        ("generate", ["--model", export, *chance.choice(FORMS)]), ("generate", ["--version"]),
        ("generate", ["--model", "missing"]),
        ("make_gif", ["--images", made / "run/generated_images"]), ("make_gif", ["--help"]),
    ))
    return Trial(script, arguments, codes=(0, 2, BROKEN_PIPE), silent="stderr" in names,
                 before=close_streams(names, how),
                 environment={} if chance.random() < 0.3 else None,
                 expected=f"with {how}: {', '.join(names)}")


def set_encoding(name):
    """Return a function that gives the standard streams an encoding, as PYTHONIOENCODING does."""
    def act():
        sys.stdout.reconfigure(encoding=name, errors="strict")
        sys.stderr.reconfigure(encoding=name, errors="backslashreplace")
    return act


def encoding_input(folder, chance, made):
    """Names of files and classes that a terminal cannot show, or had better not."""
    name, what = chance.choice(BAD_NAMES), chance.randrange(8)
    script, arguments = "train_gan", ["--dataset", name, *DRY[2:]]
    if what == 0:  # a whole file
        shutil.copy(made / "data.npz", folder / f"{name}.npz")
        arguments[1] = f"{name}.npz"
    elif what == 1:  # a damaged one
        (folder / f"{name}.npz").write_bytes(b"PK\3\4")
        arguments[1] = f"{name}.npz"
    elif what == 2:  # pictures and classes
        for part in (name, "other"):
            write_pictures(folder / name / part, 16)
        (folder / name / name / f"{name}.png").write_bytes(b"no picture")
        arguments += chance.choice(([], ["--skip-broken"]))
    elif what == 3:  # the classes that an export names
        shutil.copytree(made / "run/exported_model", folder / name)
        path = folder / name / "assets.extra/gan.json"
        metadata = json.loads(path.read_text())
        path.write_text(json.dumps(metadata | {"class_names": [name, "two"]}))
        script, arguments = "generate", ["--model", name, "--label", "nobody"]
    elif what == 4:  # a missing one
        script, arguments = chance.choice((
            ("train_gan", arguments), ("generate", ["--model", name]),
            ("make_gif", ["--images", name]), ("train_gan", ["--outdir", name, "--resume"])))
    elif what == 5:  # where a run is written
        arguments = ["--dataset", made / "data.npz", *SMALL, "--outdir", name]
    elif what == 6:
        script, arguments = "make_gif", ["--images", made / "run/generated_images",
                                         "--output", f"{name}.gif"]
    else:
        script, arguments = chance.choice(("train_gan", "generate", "make_gif")), ["--help"]
    if chance.random() < 0.3:
        locale = chance.choice(LOCALES)
        return Trial(script, arguments, environment=locale,
                     encoding=locale.get("PYTHONIOENCODING", "utf-8"))
    encoding = chance.choice(ENCODINGS)
    return Trial(script, arguments, before=set_encoding(encoding), encoding=encoding)


def degenerate_input(folder, chance, made):
    """Very few images, or images and labels that hardly differ, really trained on."""
    random = np.random.default_rng(chance.randrange(2**32))
    count = chance.choice((2, 3, 5, 40))
    channels = chance.choice(((), (), (3,)))
    images = random.integers(0, 256, (count, 16, 16, *channels)).astype(np.uint8)
    labels = chance.choice((None, np.zeros(count), np.full(count, 5), np.arange(count),
                            np.resize([3, 7], count)))
    pattern = chance.choice(("noise", "identical", "black", "white", "two values"))
    if pattern == "identical":
        images[:] = images[0]
    elif pattern in ("black", "white"):
        images[:] = 0 if pattern == "black" else 255
    elif pattern == "two values":
        images = (images > 127).astype(np.uint8)
    arrays = {"x_train": images}
    if labels is not None:
        arrays["y_train"] = labels.astype(np.int64)
    if chance.random() < 0.5:
        tests = chance.choice((1, 2, 3))
        arrays["x_test"] = images[:tests]
        if labels is not None:
            arrays["y_test"] = labels[:tests].astype(np.int64)
    np.savez(folder / "in.npz", **arrays)
    options = list(SMALL)
    options[options.index("--batch-size") + 1] = str(min(16, count))  # often the whole data
    options[options.index("--condition") + 1] = chance.choice(("auto", "clusters", "none"))
    options += chance.choice(([], ["--metrics-interval", "1"], ["--augment"]))
    then = chance.choice(((), (("generate", ["--label", "each", "--grid", "2x2"]),),
                          (("train_gan", ["--resume", "--epochs", "2"]),)))
    return Trial("train_gan", ["--dataset", "in.npz", *options], then=then)


def moved_input(folder, chance, made):
    """A run to be continued whose data is elsewhere, gone, changed, or seen from elsewhere.

    `expected` is the exit code where there is only one right one.
    """
    shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    home = chance.choice(("work", "elsewhere"))
    run = [] if home == "work" else ["--outdir", folder]
    kind = chance.choice(("renamed", "moved", "gone", "changed", "other", "relative", "folder"))
    known, data, code = folder / "data.npz", [], 0
    if kind in ("renamed", "moved"):
        path = (folder if kind == "renamed" else elsewhere) / "renamed.npz"
        shutil.copy(made / "data.npz", path)
        data = ["--dataset", chance.choice((path, os.path.relpath(path, folder.parent / home)))]
    elif kind == "gone":
        code = 2
    elif kind == "folder":  # in place of the file
        known.mkdir()
        code = 2
    elif kind in ("changed", "other"):
        path = known if kind == "changed" else elsewhere / "other.npz"
        with np.load(made / "data.npz") as arrays:
            images = arrays["x_train"].copy()
            images[chance.randrange(len(images)), 3, 3] ^= 1
            np.savez(path, x_train=images, y_train=arrays["y_train"])
        data, code = ([] if kind == "changed" else ["--dataset", path]), 2
    else:  # as it was given; found or not
        known, code = "data.npz", None
        shutil.copy(made / "data.npz", folder / "data.npz")
    for path in (folder / "checkpoints").iterdir():
        _name_data(path, str(known))
    more = chance.choice(([], [], ["--epochs", "3"]))
    again = (("train_gan", ["--resume", *run]),)  # the new place is kept
    return Trial("train_gan", ["--resume", *run, *data, *more], then=again, place=home,
                 expected=code)


def _name_data(checkpoint, name):
    """Write the name of the data into a checkpoint."""
    with zipfile.ZipFile(checkpoint) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    metadata = next(member for member in members if member.endswith(".json"))
    content = json.loads(members[metadata])
    content["config"]["dataset"] = name
    members[metadata] = json.dumps(content).encode()
    with zipfile.ZipFile(checkpoint, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
