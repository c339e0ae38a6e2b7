"""Damaged and hostile files, and random command lines: the inputs of files and options."""

import gzip
import io
import json
import shutil
import zipfile

import numpy as np
from campaign import TINY
from fuzz_trial import Trial
from PIL import Image

ODD = (None, True, -1, 0, 1e308, 2**70, "", "x", "../../etc/passwd", "\n", [], {}, [[]], "9" * 99)
WORDS = ("0", "-1", "1e99", "nan", "inf", "", " ", "x", "8x8", "0,1", "3-1", "\0", "é", "../..",
         "999999999999999999999", "auto", "none", "ring", "mnist", "no/such", "0.5", "2", "16")
DRY = ["--dataset", "in", *TINY, "--dry-run"]


def flipped(content, chance):
    """Damage bytes: flip, cut, repeat, fill or insert."""
    content, kind = bytearray(content), chance.randrange(5)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if not content:
            return bytes(chance.randbytes(chance.randrange(40)))
        at = chance.randrange(len(content))
        if kind == 0:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del content[at:]
        elif kind == 2:
            content[at:at] = content[at : at + chance.randrange(64)]
        elif kind == 3:
            content[at : at + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        else:
            content[at:at] = chance.randbytes(chance.randrange(1, 16))
    return bytes(content)


def odd_json(value, chance):
    """Replace one value somewhere inside of a JSON document."""
    value = json.loads(json.dumps(value))
    place = value
    while True:
        key = (chance.choice(list(place)) if isinstance(place, dict)
               else chance.randrange(len(place)))
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        if chance.random() < 0.2 and isinstance(place, dict):
            del place[key]
        else:
            place[key] = chance.choice(ODD)
        return value


def npy(array=None, header=None, data=b""):
    """The bytes of an .npy file, with a header that may lie."""
    buffer = io.BytesIO()
    if array is not None:
        np.save(buffer, array, allow_pickle=True)
    else:
        np.lib.format.write_array_header_1_0(buffer, header)
        buffer.write(data)
    return buffer.getvalue()


def npz_input(folder, chance, made):
    """A damaged or hostile .npz file."""
    kind, trial = chance.randrange(9), Trial("train_gan", ["--dataset", "in.npz", *DRY[2:]])
    if kind < 3:
        content = flipped((made / "data.npz").read_bytes(), chance)
        (folder / "in.npz").write_bytes(content)
        return trial
    if kind < 5:  # with a checksum that fits the damage
        with zipfile.ZipFile(made / "data.npz") as archive, \
                zipfile.ZipFile(folder / "in.npz", "w") as damaged:
            for name in archive.namelist():
                damaged.writestr(name, flipped(archive.read(name), chance))
        return trial
    huge = {"descr": "|u1", "fortran_order": False, "shape": (2**40, 28, 28)}
    member = [
        npy(header=huge), npy(np.array([{"a": print}], object)),
        npy(np.zeros(chance.choice(((0, 28, 28), (5,), (9, 28, 30), (4, 16, 16, 2))), np.uint8)),
        npy(np.full((20, 16, 16), chance.choice((np.nan, np.inf)), np.float32)),
    ][kind - 5]
    with zipfile.ZipFile(folder / "in.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(chance.choice(("x_train.npy", "../x_train.npy")), member)
        if chance.random() < 0.5:
            archive.writestr("y_train.npy", npy(np.arange(chance.randrange(30)) - 1))
    return trial


def bomb_input(folder, chance, made):
    """A small file that unpacks to gigabytes."""
    zeros, kind = bytes(2**24), chance.randrange(3)
    if kind == 0:
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**17, 128, 128)}
        with zipfile.ZipFile(folder / "in.npz", "w", zipfile.ZIP_DEFLATED) as archive, \
                archive.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(npy(header={**header, "shape": (2**20, 128, 128)}))
            for _ in range(64):
                member.write(zeros)
    elif kind == 1:
        (folder / "in").mkdir()
        with gzip.open(folder / "in/train-images-idx3-ubyte.gz", "wb", 1) as file:
            sizes = chance.choice(((2**31 - 1, 128, 128), (10, 28, 28)))
            file.write(b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in sizes))
            for _ in range(64):
                file.write(zeros)
    else:
        (folder / "in").mkdir()
        for name in "ab":
            Image.new("1", (100_000, chance.choice((700, 1000, 30_000)))).save(
                folder / f"in/{name}.png")
    return Trial("train_gan", ["--dataset", "in.npz", *DRY[2:]] if kind == 0 else DRY)


def idx_input(folder, chance, made):
    """Damaged IDX files, plain or gzipped."""
    (folder / "in").mkdir()
    with np.load(made / "data.npz") as arrays:
        for name, key in (("train-images-idx3-ubyte", "x_train"),
                          ("train-labels-idx1-ubyte", "y_train")):
            array = arrays[key].astype(np.uint8)
            content = bytes([0, 0, 8, array.ndim]) + b"".join(
                size.to_bytes(4, "big") for size in array.shape) + array.tobytes()
            zipped = chance.random() < 0.5
            if zipped and chance.random() < 0.5:
                content = gzip.compress(flipped(content, chance), 1)
            elif zipped:
                content = flipped(gzip.compress(content, 1), chance)
            elif chance.random() < 0.8:
                content = flipped(content[:5000] if chance.random() < 0.3 else content, chance)
            (folder / "in" / (name + (".gz" if zipped else ""))).write_bytes(content)
    return Trial("train_gan", DRY)


def picture_input(folder, chance, made):
    """A folder of pictures, some of them damaged, odd or not pictures at all."""
    root = folder / "in"
    root.mkdir()
    skipping = chance.choice(([], ["--skip-broken", "--image-size", "16"]))
    parts = chance.choice(((".",), ("a", "b\nc", "é" * 60, "..x"), (".", "a")))
    for number in range(chance.randrange(16, 60)):
        size = chance.choice(((16, 16), (20, 31), (1, 300), (64, 64)))
        mode = chance.choice(("L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "LA"))
        size, mode = (size, mode) if chance.random() < 0.1 else ((16, 16), "L")
        suffix, kind = chance.choice(((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP")))
        buffer = io.BytesIO()
        try:
            Image.new(mode, size).save(buffer, kind)
        except (OSError, ValueError):
            Image.new("L", size).save(buffer, kind)
        content = buffer.getvalue()
        if chance.random() < 0.05:
            content = flipped(content, chance)
        part = root / chance.choice(parts)
        part.mkdir(exist_ok=True)
        name = chance.choice((f"{number}", f"{number}\n", f"-{number}", f"{number} é"))
        (part / f"{name}{suffix}").write_bytes(content)
    if chance.random() < 0.2:
        (root / "loop").symlink_to(root)
    if chance.random() < 0.2:
        (root / "gone.png").symlink_to("/no/such/file")
    return Trial("train_gan", [*DRY, *skipping])


def resumed_input(folder, chance, made):
    """A checkpoint that is damaged, or whole with another content."""
    shutil.copytree(made / "run", folder, dirs_exist_ok=True)
    if chance.random() < 0.15:  # often refused for it, before a checkpoint is read
        (folder / "config.json").write_bytes(flipped((folder / "config.json").read_bytes(), chance))
    files = sorted((folder / "checkpoints").iterdir())
    for path in files[: chance.choice((1, 2))] if chance.random() < 0.3 else files:
        if chance.random() < 0.5:
            path.write_bytes(flipped(path.read_bytes(), chance))
            continue
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        metadata = next(name for name in members if name.endswith(".json"))
        if chance.random() < 0.6:
            members[metadata] = json.dumps(odd_json(json.loads(members[metadata]), chance)).encode()
        else:
            name = chance.choice([name for name in members if name != metadata])
            members[name] = chance.choice((
                npy(np.zeros(3)), npy(np.array([None], object)), b"", npy(np.array("labels")),
                npy(header={"descr": "<f4", "fortran_order": False, "shape": (2**40,)})))
        kind = zipfile.ZIP_DEFLATED if chance.random() < 0.1 else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return Trial("train_gan", ["--resume"])


def export_input(folder, chance, made):
    """An export that is damaged, or whole with another description."""
    shutil.copytree(made / "run/exported_model", folder / "exported_model")
    metadata = folder / "exported_model/assets.extra/gan.json"
    kind = chance.random()
    if kind < 0.6:
        metadata.write_text(json.dumps(odd_json(json.loads(metadata.read_text()), chance)))
    elif kind < 0.7:
        metadata.write_bytes(flipped(metadata.read_bytes(), chance))
    else:
        files = [path for path in (folder / "exported_model").rglob("*") if path.is_file()]
        path = chance.choice(files)
        path.write_bytes(flipped(path.read_bytes(), chance))
    script, *arguments = chance.choice((
        ("generate", "--grid", "2x2"), ("generate", "--npz"), ("gan.playground",),
        ("gan.convert", "--to", "litert")))
    return Trial(script, arguments)


def report_input(folder, chance, made):
    """Runs of which some files are damaged or say something else."""
    runs = [folder / name for name in ("first", "second")[: chance.choice((1, 1, 2))]]
    for run in runs:
        shutil.copytree(made / "run", run)
    run = chance.choice(runs)
    described = ["config.json", "summary.json", "exported_model/assets.extra/gan.json"]
    files = [*described, "history.csv", "generated_images/real_samples.png",
             "generated_images/epoch_0001.png"]
    for name in chance.sample(files, chance.choice((1, 1, 2))):
        path = run / name
        if name in described and chance.random() < 0.6:
            path.write_text(json.dumps(odd_json(json.loads(path.read_text()), chance)))
        elif chance.random() < 0.1:
            path.unlink()
        else:
            path.write_bytes(flipped(path.read_bytes(), chance))
    return Trial("gan.report", runs)


def gif_input(folder, chance, made):
    """Epoch pictures, one of them damaged."""
    shutil.copytree(made / "run/generated_images", folder / "generated_images")
    path = chance.choice(sorted((folder / "generated_images").glob("epoch_*")))
    path.write_bytes(flipped(path.read_bytes(), chance))
    return Trial("make_gif", [])


def command_line(folder, chance, made):
    """Random options of a random script with random values."""
    script = chance.choice(("train_gan", "generate", "make_gif"))
    from gan import config

    options = {
        "train_gan": ["--" + name.replace("_", "-")
                      for name in config.TrainConfig.__dataclass_fields__],
        "generate": ["--model", "--outdir", "--num-images", "--seed", "--seeds", "--label",
                     "--truncation", "--grid", "--npz", "--csv", "--interpolate", "--frames",
                     "--batch-size", "--force"],
        "make_gif": ["--images", "--output", "--fps", "--every", "--hold", "--scale", "--loop",
                     "--no-caption"],
    }[script]
    arguments = ["--dry-run"] if script == "train_gan" else []
    if chance.random() < 0.5:  # at least some that fit
        valid = ("--loss hinge", "--dataset ring", "--arch mlp", "--n_critic=3", "--dropout 0.2",
                 "--spectral-norm", "--condition none", "--latent-dim 5", "--base-channels 7",
                 "--gradient-penalty r1", "--gp-weight 2", "--lr-g 1e-4", "--ema 0", "--mirror",
                 "--augment adaptive", "--components 2", "--output smooth")
        script = "train_gan"
        return Trial(script, ["--dry-run", *" ".join(chance.sample(valid, 3)).split()])
    for _ in range(chance.randrange(1, 5)):
        arguments.append(chance.choice(options) + chance.choice(("", "", "", "x", "=")))
        if chance.random() < 0.8:
            arguments.append(chance.choice(WORDS))
    return Trial(script, [argument.replace("\0", "?") for argument in arguments])
