"""Wrong input: one clear line on standard error, exit code 2, nothing harmed."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import generate
import make_gif
import train_gan
from gan.common.errors import run_script
from tests.conftest import TINY
from tests.conftest import run_script as run_process


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """A function that runs a script's `main` and returns its one line of complaint."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr("sys.argv", [script.__name__, *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_script(f"{script.__name__}.py", script.main)
        errors = capsys.readouterr().err
        assert caught.value.code == 2, errors
        lines = errors.splitlines()
        assert len(lines) == 1 and lines[0].startswith(f"{script.__name__}.py: error: "), errors
        return lines[0]

    return run


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--epochs", "0"], "--epochs: expected a whole number from 1 to 1000000, got: '0'"),
    (["--epochs", "2.5"], "got: '2.5'"),
    (["--epochs"], "--epochs: expected one argument"),
    (["--batch-size", "1"], "--batch-size: expected a whole number from 2"),
    (["--batch_size", "many"], "a whole number from 2 to 65536, got: 'many'"),
    (["--latent-dim", "-3"], "--latent-dim: expected"),
    (["--lr", "0"], "--lr: expected a number from"),
    (["--lr", "nan"], "got: 'nan'"),
    (["--lr-g", "inf"], "got: 'inf'"),
    (["--beta1", "1"], "--beta1: expected a number from 0 to 0.9999, got: '1'"),
    (["--label-smoothing", "0.7"], "expected a number from 0 to 0.5, got: '0.7'"),
    (["--ema", "1.1"], "--ema: expected"),
    (["--loss", "wasser"], "--loss: expected one of nonsaturating, minimax, lsgan"),
    (["--arch", "resnet", "--dropout", "0.1"], "need --arch conv, dcgan or mlp, got: --arch resn"),
    (["--arch", "mlp", "--upsampling", "plain"], "--upsampling needs --arch conv or dcgan, got: "),
    (["--dataset", "ring", "--output", "tanh"], "--output: expected for simulated points: auto"),
    (["--arch", "transformer"], "--arch: expected one of auto, conv, dcgan, resnet, mlp"),
    (["--mixed-precision", "int8"], "expected one of auto, float16, bfloat16, off"),
    (["--max-minutes", "-1"], "--max-minutes: expected"),
    (["--seed", "-1"], "--seed: expected"),
    (["--epoch", "3"], "unknown option: --epoch (did you mean --epochs?)"),
    (["5"], "unknown option: 5"),
    (["--dataset", "no/such/folder"], "--dataset: expected mnist, fashion_mnist, ring"),
    (["--condition", "none", "--clusters", "4"], "--clusters needs --condition labels"),
    (["--loss", "hinge", "--label-smoothing", "0.1"], "--label-smoothing needs --loss"),
    (["--loss", "wgan", "--gradient-penalty", "none"], "--loss wgan needs a --gradient"),
    (["--dataset", "ring", "--arch", "dcgan"], "--arch: expected for points: mlp"),
    (["--dataset", "grid", "--augment", "adaptive"],
     "--augment: expected for simulated points: none, got: adaptive"),
    (["--dataset", "grid", "--mirror"], "--mirror: expected for simulated points: leave it out"),
    (["--dataset", "moons", "--condition", "clusters"], "--condition: expected for simulated"),
    (["--gradient-penalty", "none", "--gp-weight", "1"], "--gp-weight needs a --gradient"),
    (["--image-size", "32"], "--image-size: expected a --dataset folder of pictures with it"),
    (["--image-size", "257"], "--image-size: expected a whole number from 16 to 256"),
    (["--dataset", "photso", "--image-size", "32"],
     "photso (no such file or folder)"),
    (["--skip-broken"], "--skip-broken: expected a --dataset folder of pictures"),
    (["--channels", "2"], "--channels: expected one of 1, 3, got: '2'"),
    (["--condition", "planes"], "--condition: expected one of auto, labels, clusters, none"),
    (["--condition", "none", "--components", "4"], "--components needs --condition labels"),
    (["--lr", "1e-3", "--lr-g", "1e-3", "--lr-d", "1e-3"], "--lr has no effect beside --lr-g"),
    (["--sample-interval", "500s"], "--sample-interval: expected a whole number from 1"),
    (["--seed", "9" * 400], "--seed: expected a whole number from 0 to 2147483647, got: '999"),
    (["--devices", "9" * 400], "--devices: expected a whole number from 1 to 1024, got: '999"),
    (["--lr", "9" * 400], "--lr: expected a number from 1e-12 to 1, got: '999"),
    (["--resume", "--overwrite"], "contradict each other"),
    (["--resume"], "--resume: expected a checkpoint in checkpoints"),
    (["--outdir", "/proc/nowhere"], "--outdir: expected a folder that can be written"),
])
def test_train_gan_refuses(refused, arguments, expected):
    assert expected in refused(train_gan, *arguments)


def test_train_gan_refuses_data(refused, tmp_path, tiny_npz):
    (tmp_path / "empty").mkdir()
    assert "expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX" in refused(
        train_gan, "--dataset", "empty")
    (tmp_path / "a.npz").write_bytes(b"PK not really")
    assert "expected an .npz file, got a damaged one" in refused(train_gan, "--dataset", "a.npz")
    whole = tiny_npz.read_bytes()
    (tmp_path / "b.npz").write_bytes(whole[: len(whole) // 2])
    assert "b.npz" in refused(train_gan, "--dataset", "b.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    (tmp_path / "c.npz").write_bytes(flipped)
    assert "damaged" in refused(train_gan, "--dataset", "c.npz")
    assert "--batch-size: expected at most 320" in refused(
        train_gan, "--dataset", tiny_npz, "--batch-size", 400)
    assert "--clusters: expected at most" in refused(
        train_gan, "--dataset", tiny_npz, "--clusters", 300)
    assert list((tmp_path / "checkpoints").glob("*")) == []


def test_a_refused_run_leaves_no_empty_folders(refused, tmp_path):
    (tmp_path / "there").mkdir()
    for outdir in ("new/run", "there/run"):
        refused(train_gan, "--dataset", "nowhere.npz", "--outdir", outdir)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_file_where_the_folder_should_be(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "--outdir: expected a folder" in refused(train_gan, "--outdir", "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def finished(tiny_run, tmp_path):
    """A copy of the finished tiny run in the current folder."""
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_not_overwritten_unasked(refused, finished):
    before = contents(finished)
    assert "holds a run; expected --resume to continue it" in refused(train_gan)
    assert contents(finished) == before


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--latent-dim", "9"], "--latent-dim: the run to resume has 8, got: 9"),
    (["--arch", "mlp"], "--arch: the run to resume has conv, got: mlp"),
    (["--seed", "5"], "--seed: the run to resume has 0, got: 5"),
    (["--batch-size", "32"], "--batch-size: the run to resume has 16, got: 32"),
    (["--dataset", "mnist"], "--dataset: mnist does not hold the samples"),
    (["--base_channels", "8"], "--base-channels: the run to resume has 4, got: 8"),
    (["--beta1", "0.5"], "--beta1: the run to resume has 0.0, got: 0.5"),
    (["--mixed-precision", "bfloat16"], "--mixed-precision: the run to resume has off"),
    (["--condition", "none"], "--condition: the run to resume has labels, got: none"),
    (["--epochs", "1"], "--epochs: expected at least 2"),
])
def test_resume_refuses_another_run(refused, finished, arguments, expected):
    before = contents(finished)
    assert expected in refused(train_gan, "--resume", *arguments)
    assert contents(finished) == before


def test_resume_refuses_other_images_under_the_same_name(refused, finished, tiny_npz, tmp_path):
    with np.load(tiny_npz) as arrays:
        changed = dict(arrays)
    changed["x_train"] = changed["x_train"].copy()
    changed["x_train"][7, 7, 7] ^= 1
    kept = tiny_npz.read_bytes()
    try:
        np.savez(tiny_npz, **changed)
        assert "does not hold the samples that the run" in refused(train_gan, "--resume")
    finally:
        tiny_npz.write_bytes(kept)


def test_resume_refuses_damaged_checkpoints_only_when_none_is_whole(refused, finished, capsys):
    for path in (finished / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    import sys

    sys.argv = ["train_gan.py", "--resume"]
    with pytest.raises(SystemExit) as caught:
        run_script("train_gan.py", train_gan.main)
    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert [line.split(":")[0] for line in lines] == ["warning", "warning", "train_gan.py"]
    assert "got only damaged ones" in lines[-1]


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], "--model: expected a folder with an exported generator"),
    (["--grid", "8"], "--grid: expected rows x columns such as 8x8"),
    (["--grid", "0x4"], "--grid: expected"),
    (["--grid", "999x999"], "at most 10,000 images"),
    (["--seeds", "4-2"], "--seeds: expected numbers and ranges such as 0,3,8-15, got: '4-2'"),
    (["--seeds", "a"], "--seeds: expected"),
    (["--seeds", "1", "--seed", "2"], "--seeds: expected either a list of seeds or a count"),
    (["--seeds", "1", "--num-images", "2"], "got also: --num-images"),
    (["--num-images", "0"], "--num-images: expected"),
    (["--interpolate", "0,1", "--grid", "2x2"], "expected no --grid beside it"),
    (["--interpolate", "1"], "expected at least two seeds"),
    (["--interpolate", "x,y"], "expected numbers and ranges"),
    (["--frames", "5"], "--frames needs --interpolate"),
    (["--truncation", "-1"], "--truncation: expected"),
    (["--model", "generated_images"], "--model: expected a folder with an exported generator"),
])
def test_generate_refuses(refused, arguments, expected):
    assert expected in refused(generate, *arguments)


def test_generate_refuses_labels_that_are_not_there(refused, finished):
    assert "--label: expected each or a class of the generator (0, 1), got: 7" in refused(
        generate, "--label", "7")
    about = finished / "exported_model/assets.extra/gan.json"
    text = json.loads(about.read_text())
    about.write_text(json.dumps(text | {"class_names": [], "classes": []}))
    assert "trained on data with labels" in refused(generate, "--label", "0")


@pytest.mark.parametrize("damage", ["gan.json", "not json", "saved_model.pb", "variables"])
def test_generate_notices_a_damaged_export(finished, tmp_path, damage, tensorflow, refused):
    export = finished / "exported_model"
    if damage == "gan.json":
        (export / "assets.extra/gan.json").unlink()
    elif damage == "not json":
        (export / "assets.extra/gan.json").write_text("{")
    elif damage == "saved_model.pb":
        (export / "saved_model.pb").write_bytes((export / "saved_model.pb").read_bytes()[:500])
    else:
        data = export / "variables/variables.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:100])
    message = refused(generate, "--output", "grid.png")
    assert "gan.json" in message or "expected the file as it was exported, got a dam" in message
    assert not list(tmp_path.rglob("grid.png"))


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], "--images: expected pictures such as epoch_0001.png, got none in: generated_images"),
    (["--fps", "0"], "--fps: expected a number from 0.1 to 50, got: '0'"),
    (["--every", "0"], "--every: expected"),
    (["--scale", "99"], "--scale: expected"),
    (["--images", "*.png"], "expected pictures such as epoch_0001.png, got none in: *.png"),
])
def test_make_gif_refuses(refused, arguments, expected):
    assert expected in refused(make_gif, *arguments)


def test_make_gif_names_the_picture(refused, tmp_path):
    folder = tmp_path / "generated_images"
    folder.mkdir()
    assert "got none in" in refused(make_gif)
    for epoch, size in ((0, 20), (1, 20), (2, 24)):
        Image.new("L", (size, size)).save(folder / f"epoch_{epoch:04d}.png")
    assert "epoch_0002.png: expected a picture of the size of" in refused(make_gif)
    (folder / "epoch_0002.png").write_bytes(b"\x89PNG\r\n broken")
    assert "epoch_0002.png: expected a PNG picture, got a broken file" in refused(make_gif)
    assert not (tmp_path / "training.gif").exists()
    (folder / "epoch_0002.png").unlink()
    assert "cannot write" in refused(make_gif, "--output", "/proc/no/training.gif")


def test_a_wrong_option_in_a_process_of_its_own(tmp_path):
    for script in ("train_gan.py", "generate.py", "make_gif.py"):
        done = run_process(script, "--nonsense", cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr == f"{script}: error: unknown option: --nonsense (see --help)\n"


def test_missing_tensorflow_is_said(refused, monkeypatch, tiny_npz):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec",
                        lambda name, *rest: None if name == "tensorflow" else found(name, *rest))
    message = refused(train_gan, "--dataset", tiny_npz, *TINY)
    assert "TensorFlow is not installed; expected: pip install -r requirements.txt" in message
