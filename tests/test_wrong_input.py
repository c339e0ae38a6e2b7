"""Wrong input: one clear line on standard error, exit code 2, nothing harmed."""

import os

import pytest

from tests.conftest import TINY
from tests.test_foreign_files import contents


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--epochs", "0"], "--epochs: expected a whole number from 1 to 1000000, got: '0'"),
    (["--epochs"], "--epochs: expected one argument"),
    (["--batch_size", "many"], "a whole number from 2 to 65536, got: 'many'"),
    (["--beta1", "1"], "--beta1: expected a number from 0 to 0.9999, got: '1'"),
    (["--loss", "wasser"], "--loss: expected one of nonsaturating, minimax, lsgan"),
    (["--arch", "resnet", "--dropout", "0.1"], "need --arch conv, dcgan or mlp, got: --arch resn"),
    (["--arch", "mlp", "--upsampling", "plain"], "--upsampling needs --arch conv or dcgan, got: "),
    (["--dataset", "ring", "--output", "tanh"], "--output: expected for points: auto"),
    (["--epoch", "3"], "unknown option: --epoch (did you mean --epochs?)"),
    (["5"], "unknown option: 5"),
    (["--dataset", "no/such/folder"], "--dataset: expected mnist, fashion_mnist, ring"),
    (["--condition", "none", "--clusters", "4"], "--clusters needs --condition labels"),
    (["--loss", "hinge", "--label-smoothing", "0.1"], "--label-smoothing needs --loss"),
    (["--loss", "wgan", "--gradient-penalty", "none"], "--loss wgan needs a --gradient"),
    (["--dataset", "ring", "--arch", "dcgan"], "--arch: expected for points: mlp"),
    (["--dataset", "grid", "--augment", "adaptive"],
     "--augment: expected for points: none, got: adaptive"),
    (["--dataset", "grid", "--mirror"], "--mirror: expected for points: leave it out"),
    (["--gradient-penalty", "none", "--gp-weight", "1"], "--gp-weight needs a --gradient"),
    (["--image-size", "32"], "--image-size: expected a --dataset folder of pictures with it"),
    (["--dataset", "photso", "--image-size", "32x48"],
     "photso (no such file or folder)"),
    (["--image-size", "64x15"], "--image-size: expected a side or WIDTHxHEIGHT from 16 to 512"),
    (["--condition", "none", "--components", "4"], "--components needs --condition labels"),
    (["--lr", "1e-3", "--lr-g", "1e-3", "--lr-d", "1e-3"], "--lr has no effect beside --lr-g"),
    (["--devices", "9" * 400], "--devices: expected a whole number from 1 to 1024, got: '999"),
    (["--keep-best"], "--keep-best needs --metrics-interval"),
    (["--resume", "--overwrite"], "contradict each other"),
    (["--minutes", "5", "--epochs", "3"], "expected one of them, got: both"),
    (["--resume"], "--resume: expected a checkpoint in checkpoints"),
    (["--resume", "--outdir", "typo"], "got: typo (no such folder)"),
    (["--outdir", "file"], "--outdir: expected a folder"),
    (["--outdir", os.fsdecode(b"caf\xe9")], "expected the name of a folder in UTF-8"),
    (["--dataset", "empty"], "expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX"),
    (["--dataset", "nowhere.npz", "--outdir", "new/run"], "nowhere.npz"),
    (["--outdir", "/proc/nowhere"], "--outdir: expected a folder that can be written"),
])
def test_train_gan_refuses(refused, tmp_path, arguments, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    assert expected in refused("train_gan.py", *arguments)
    assert {path.name for path in tmp_path.rglob("*")} == {"empty", "file"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], "holds a run; expected --resume to continue it"),
    (["--resume", "--dataset", "mnist"], "--dataset: mnist does not hold the samples"),
    (["--resume", "--dataset", "nowhere.npz"], "give their new place with --dataset"),
    (["--resume", "--base_channels", "8"], "--base-channels: the run to resume has 4, got: 8"),
    (["--resume", "--mixed-precision", "bfloat16"], "--mixed-precision: the run to resume has off"),
    (["--resume", "--epochs", "1"], "--epochs: expected at least 2"),
])
def test_a_finished_run_is_not_changed_by_another(refused, run, arguments, expected):
    before = contents(run)
    assert expected in refused("train_gan.py", "--outdir", "run", *arguments)
    assert contents(run) == before


def test_resume_refuses_damaged_checkpoints_only_when_none_is_whole(command, run):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    code, _, errors = command("train_gan.py", "--resume", "--outdir", "run")
    lines = errors.splitlines()
    assert code == 2 and "got only damaged ones" in lines[-1]
    assert [line.split(":")[0] for line in lines] == ["warning", "warning", "train_gan.py"]


def test_missing_tensorflow_is_said(refused, monkeypatch, tiny_npz):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec",
                        lambda name, *rest: None if name == "tensorflow" else found(name, *rest))
    message = refused("train_gan.py", "--dataset", tiny_npz, *TINY)
    assert "TensorFlow is not installed; expected: pip install -r requirements.txt" in message
