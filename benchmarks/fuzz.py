"""Feed damaged and hostile input to the scripts, and give them folders with other people's files.

    python benchmarks/fuzz.py --count 2000
    python benchmarks/fuzz.py --count 50 --only files

Every input goes through the real `main` of a script, in a process of its own. It must end
within a minute with success or with exit code 2 and one line, in bounded memory, without a
traceback or a control character. What it refuses it leaves as it was, and what it did not write
stays as it was in any case.
"""

import functools
import hashlib
import io
import json
import os
import random
import shutil
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from campaign import TINY, finish, leftovers, preload, start, write_data
from common import parser, report
from PIL import Image

SECONDS = 60
MOST_MIB = 1200  # of a process, TensorFlow included
SMALL = [*TINY[:-2], "--condition", "none", "--epochs", "1"]
PLACES = ("checkpoints/my_resnet.pt", "checkpoints/step_000001000.npz", "exported_model/thesis.txt",
          "exported_model/saved_model.pb", "exported_model", "generated_images/epoch_0001.png",
          "generated_images/holiday.png", "generated_images", "tensorboard/events.mine",
          "config.json", "history.csv", "summary.json", "loss_curves.png", "training.gif",
          "report.html", "manifest.txt", "notes.txt", "generated/seed_000001.png", "images.npz")
LINKS = ("checkpoints", "generated_images", "exported_model", "history.csv", "config.json",
         "manifest.txt", "training.gif")
WORDS = ("", "0", "-1", "1e999", "nan", "9" * 400, "\x1b[31m", "é", "/", "..", "mnist", "ring",
         "none", "auto", "5", "0.5", "{}", "\udcff")
ODD = (None, True, -1, 2**70, float("inf"), float("nan"), "", "\x1b[31mred", "x" * 5000, [], {},
       [[]], {"a": 1})


def flip(path, chance):
    """Change, cut or empty a file in place."""
    content = bytearray(path.read_bytes())
    if chance.random() < 0.3:
        content = content[: chance.randrange(len(content) + 1)]
    for _ in range(chance.choice((0, 1, 3, 20)) if content else 0):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)


def make_odd(path, chance):
    """Replace some value in a JSON file by an odd one."""
    content = place = json.loads(path.read_text())
    while isinstance(place, dict) and place:
        name = chance.choice(list(place))
        if not isinstance(place[name], dict) or chance.random() < 0.3:
            place[name] = chance.choice(ODD)
            break
        place = place[name]
    path.write_text(json.dumps(content))


def damage(path, chance):
    """Damage a file, or write other content into a whole one."""
    odd = path.suffix == ".json" and chance.random() < 0.6
    (make_odd if odd else flip)(path, chance)


# Kinds of input. Each makes one in a folder and returns (script, arguments, paths to be kept).


def damaged_array(folder, chance, made):
    """A damaged .npz file, or one of odd arrays."""
    path, random = folder / "in.npz", np.random.default_rng(chance.randrange(2**32))
    shutil.copy(made / "data.npz", path)
    if chance.random() < 0.5:
        flip(path, chance)
    else:
        shape = chance.choice(((3,), (20, 16, 16), (20, 16, 17), (20, 16, 16, 2), (0, 16, 16),
                               (2, 16, 16), (20, 16, 16, 3), ()))
        images = np.asarray(random.integers(0, 256, shape)).astype(
            chance.choice(("u1", "i8", "f4", "O", "c8", "U3", "?")))
        labels = chance.choice(([], [0] * 20, [None] * 20, [[1]], ["é\x1b"] * 20, [2**62] * 20))
        np.savez(path, x_train=images, y_train=np.array(labels))
    return "train_gan", ["--dataset", path, *SMALL, "--dry-run"], []


def odd_picture(chance):
    """Return the bytes of a small picture, seldom of something else."""
    buffer = io.BytesIO()
    shape = chance.choice(((16, 16),) * 200 + ((30, 18), (6, 6)))
    shade = chance.randrange(256)
    Image.new(chance.choice(("L",) * 9 + ("RGB", "RGBA")), shape, shade).save(buffer, "PNG")
    return buffer.getvalue() if chance.random() < 0.99 else chance.randbytes(50)


def odd_rows(chance):
    """Return (name, picture, label) of some pictures, with labels of one odd kind."""
    labels = chance.choice(((0, 1), ("a", "b\x1b"), (None, 1), (-1,), (0.5, 1e300),
                            ([0, 1], [1, 0]), ([1, 1],), ("a|b",), (2**62, 3), ("", "x" * 3000),
                            (b"\xff", b"c"), ({"a": 1},), (0, 1), (2, 3)))
    places = chance.choice((("",), ("a/", "b/"), ("train/a/", "train/b/", "test/a/"),
                            ("a/", "../", "\x1b/")))
    return [(f"{chance.choice(places)}{number}.png", odd_picture(chance), chance.choice(labels))
            for number in range(chance.choice((0, 1, 5, *[40] * 9)))]


def write_zip(path, chance):
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture, _ in odd_rows(chance):
            archive.writestr(name, picture, 12 if chance.random() < 0.01 else 8)


def write_hdf5(path, chance):
    import h5py

    with h5py.File(path, "w") as file:
        file["x_train"] = np.random.default_rng(0).integers(0, 256, (40, 16, 16)).astype("u1")
        file["y_train"] = chance.choice(([0, 1] * 20, [b"a", b"b"] * 20, [0.5] * 40, [[0, 1]] * 40))
        name = chance.choice(("x_train", "y_train", "x_test", "odd", "odd"))
        file.pop(name, None)
        shape = chance.choice(((40, 16, 16), (40,), (40, 256), (0, 16, 16), (), (2**40, 16, 16)))
        file.create_dataset(name, shape, chance.choice(("u1", "f4", "i8", "S3", "?")),
                            chunks=True if len(shape) > 1 and shape[0] else None)


def write_parquet(path, chance):
    import pyarrow
    from pyarrow import parquet

    rows = odd_rows(chance) or [("", b"", 0)]
    pictures = [{"bytes": row[1], "path": row[0]} if chance.random() < 0.99 else None
                for row in rows]
    if chance.random() < 0.3:
        pictures = [picture and picture["bytes"] for picture in pictures]
    features = chance.choice(({}, {"label": {"names": ["a", "b\n"]}}, {"image": {"_type": "Image"}},
                              {"label": {"names": 5}}, []))
    table = pyarrow.table({"image": pictures, "label": pyarrow.array([row[2] for row in rows])})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(about), path, row_group_size=7)


def write_tfrecord(path, chance):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for _, picture, label in odd_rows(chance):
            example = tf.train.Example()
            features = example.features.feature
            features["image"].bytes_list.value.append(picture)
            values = label if isinstance(label, list) else [label] * (label is not None)
            for value in values:
                if isinstance(value, int):
                    features["label"].int64_list.value.append(value)
                elif isinstance(value, float):
                    features["label"].float_list.value.append(value)
                else:
                    features["label"].bytes_list.value.append(str(value).encode())
            writer.write(example.SerializeToString())


def write_points(path, chance):
    columns, mark = chance.choice((1, 2, 2, 2, 3)), chance.choice(",;\t ")
    odd = chance.choice((0, 0, 0.01, 1))
    lines = [chance.choice(("", "x,y", "a;b", "1"))] * chance.randrange(2)
    for _ in range(chance.choice((0, 1, 60, 60))):
        lines.append(mark.join(chance.choice(WORDS) if chance.random() < odd
                               else str(chance.gauss(0, 1)) for _ in range(columns)))
    path.write_text("\n".join(lines), errors="replace")


def damaged_file(write, suffix, folder, chance, made):
    """An odd file of some kind, often damaged as well."""
    path = folder / f"in.{suffix}"
    write(path, chance)
    if chance.random() < 0.4:
        flip(path, chance)
    network = SMALL if suffix != "csv" else ["--batch-size", "16"]
    return "train_gan", ["--dataset", path, *network, "--dry-run"], []


def damaged_table(folder, chance, made):
    """A folder of pictures with an odd or damaged table of their classes."""
    (folder / "in").mkdir()
    rows = [(f"{number}.png", odd_picture(chance), label)
            for number, (_, _, label) in enumerate(odd_rows(chance))]
    for name, picture, _ in rows:
        (folder / "in" / name).write_bytes(picture)
    labels = [[name, label.hex() if isinstance(label, bytes) else label] for name, _, label in rows]
    path = folder / "in" / chance.choice(("dataset.json", "labels.csv", "metadata.csv"))
    heading = chance.choice(("file,label", "id;class", "a", "file,x,y"))
    path.write_text(json.dumps({"labels": labels}) if path.suffix == ".json" else "\n".join(
        [heading, *(f"{name},{label}" for name, label in labels)]))
    if chance.random() < 0.5:
        damage(path, chance)
    return "train_gan", ["--dataset", folder / "in", *SMALL, "--dry-run"], []


def damaged_pictures(folder, chance, made):
    """A folder of pictures, some damaged, odd or not pictures at all."""
    for number in range(chance.randrange(16, 60)):
        mode = chance.choice(("L",) * 9 + ("RGB", "RGBA", "P", "1", "CMYK", "I;16"))
        size = chance.choice(((16, 16),) * 9 + ((1, 300), (64, 20)))
        part = folder / "in" / chance.choice((".", "a", "b\nc", "é" * 60))
        part.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, "TIFF" if mode in ("CMYK", "I;16") else "PNG")
        path = part / f"{number}{chance.choice(('', ' é', chr(10)))}.png"
        path.write_bytes(buffer.getvalue())
        if chance.random() < 0.05:
            flip(path, chance)
    skip = chance.choice(([], ["--skip-broken", "--image-size", "16"]))
    return "train_gan", ["--dataset", folder / "in", *SMALL, "--dry-run", *skip], []


def damaged_run(folder, chance, made):
    """A finished run of which some files are damaged, continued, used or reported on."""
    shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    script, arguments, part = chance.choice((
        ("train_gan", ["--resume"], "checkpoints"), ("train_gan", ["--resume"], "."),
        ("generate", ["--output", "grid.png"], "exported_model"),
        ("gan.report.__main__", ["."], "."),
        ("gan.playground.__main__", [], "exported_model"), ("make_gif", [], "generated_images")))
    files = [path for path in files if part in (".", path.relative_to(folder).parts[0])]
    for path in chance.sample(files, chance.choice((1, 1, 2))):
        damage(path, chance)
    return script, arguments, []


def command_line(folder, chance, made):
    """Random options of a random script with random values."""
    from gan.config import TrainConfig

    script = chance.choice(("train_gan", "generate", "make_gif"))
    options = {"generate": ["--model", "--outdir", "--num-images", "--seed", "--seeds", "--label",
                            "--truncation", "--grid", "--output", "--interpolate", "--frames"],
               "make_gif": ["--images", "--output", "--fps", "--every", "--hold", "--scale"],
               "train_gan": ["--" + name.replace("_", "-")
                             for name in TrainConfig.__dataclass_fields__]}[script]
    arguments = ["--dry-run"] if script == "train_gan" else []
    for _ in range(chance.randrange(1, 5)):
        arguments += [chance.choice(options), chance.choice(WORDS)][: chance.choice((1, 2, 2))]
    return script, arguments, []


def any_command(chance, made):
    """Return a script that writes, and its arguments."""
    data = ["--dataset", made / "data.npz", *SMALL]
    model, images = made / "run/exported_model", made / "run/generated_images"
    return chance.choice((
        ("train_gan", data), ("train_gan", [*data, "--overwrite"]), ("train_gan", ["--resume"]),
        ("generate", ["--model", model, "--num-images", "2"]),
        ("generate", ["--model", model, "--output", "a.npz", "--num-images", "2"]),
        ("make_gif", ["--images", images])))


def unmanaged_files(folder, chance, made):
    """Somebody's own files, alone or beside a run."""
    if chance.random() < 0.4:
        shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    theirs = []
    for name in chance.sample(PLACES, chance.choice((1, 1, 2, 5))):
        path = folder / name
        if path.parent.is_dir() or not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(b"mine " + chance.randbytes(40))
                theirs.append(path)
    return *any_command(chance, made), theirs


def links(folder, chance, made):
    """Places of a run that are links to somebody's own files and folders."""
    if chance.random() < 0.5:
        shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    elsewhere, name = folder.parent / "elsewhere", chance.choice(LINKS)
    (elsewhere / "folder").mkdir(parents=True)
    (elsewhere / "folder/holiday.png").write_bytes(b"mine")
    (elsewhere / "file").write_bytes(b"mine")
    link = folder / name
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(chance.choice((elsewhere / "folder", elsewhere / "file", elsewhere / "none",
                                   link)))
    return *any_command(chance, made), [elsewhere / "folder/holiday.png", elsewhere / "file"]


KINDS = {"arrays": damaged_array, "pictures": damaged_pictures, "runs": damaged_run,
         "command lines": command_line, "unmanaged files": unmanaged_files, "links": links,
         "tables": damaged_table, **{
             suffix: functools.partial(damaged_file, write, suffix) for suffix, write in (
                 ("zip", write_zip), ("h5", write_hdf5), ("tfrecord", write_tfrecord),
                 ("csv", write_points), ("parquet", write_parquet))}}


def contents(paths):
    """Return dict of path → digest of the files among paths."""
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in paths
            if path.is_file() and not path.is_symlink()}


def run_one(kind, home, chance, made):
    """Make one input and run a script on it; returns (exit code, what is wrong or None)."""
    folder, log = home / "work", home / "log"
    folder.mkdir(parents=True)
    script, arguments, theirs = KINDS[kind](folder, chance, made)
    theirs, before = contents(theirs), contents(folder.rglob("*"))
    left = leftovers(folder)
    process = start(script, [str(word).replace("\0", "?") for word in arguments], folder, log,
                    SECONDS)
    _, status, usage = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)  # of a process that does not end, -SIGALRM
    text = log.read_text(errors="replace") if log.exists() else ""
    errors = [line for line in text.splitlines() if ": error: " in line]
    wrong = None
    if code not in (0, 2):
        wrong = f"exit code {code}"
    elif "Traceback" in text or (code == 2 and len(errors) != 1):
        wrong = "not one line"
    elif {letter for letter in text if unicodedata.category(letter) == "Cc"} - set("\n\t\r"):
        wrong = "control characters"
    elif usage.ru_maxrss > 1024 * MOST_MIB:
        wrong = f"{usage.ru_maxrss // 1024} MiB"
    elif contents(theirs) != theirs or (code == 2 and contents(before) != before):
        wrong = "changed what is not its own, or what it refused"
    elif set(leftovers(folder)) - set(left):
        wrong = "left temporary files"
    return code, wrong and f"{wrong}: {script} {arguments} {text[-600:]}"


def main():
    """Run the campaign and print what came of it."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=600)
    options.add_argument("--only", default="", help="only kinds of input with this in their name")
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    preload()
    chosen = [kind for kind in KINDS if options.only in kind]
    results = {kind: [0, 0, 0] for kind in chosen}
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(made / "cache")
        write_data(made / "data.npz")
        (made / "run").mkdir()
        arguments = ["--dataset", made / "data.npz", *TINY, "--epochs", 2]
        if finish(start("train_gan", arguments, made / "run", made / "run.log")):
            raise SystemExit((made / "run.log").read_text())
        for number in range(options.count):
            kind = chosen[number % len(chosen)]
            chance = random.Random(options.seed * 10**6 + number)
            code, wrong = run_one(kind, made / "home", chance, made)
            results[kind][2 if wrong else code != 0] += 1
            if wrong:
                print(number, kind, ascii(wrong), flush=True)
            shutil.rmtree(made / "home")
    defects = sum(counts[2] for counts in results.values())
    report(f"{options.count} hostile inputs (seed {options.seed}), {defects} of them a defect",
           ["input", "accepted", "refused in one line", "defects"],
           [[kind, *counts] for kind, counts in results.items()], options)
    raise SystemExit(1 if defects else 0)


if __name__ == "__main__":
    main()
