"""A run that was stopped in any way goes on as if it never was; what may change then."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gan.common.files import read_archive
from gan.data.datasets import load_dataset
from gan.evaluate.metrics import mode_metrics
from gan.generator import SavedGenerator
from gan.run.checkpoint import list_checkpoints
from gan.run.verdict import best_row
from tests.conftest import ROOT, TINY, heed_signals, run_script
from tests.test_scripts import history, pictures


def assert_same_run(first, second):
    assert history(first) == history(second)
    assert pictures(first) == pictures(second)
    assert (first / "loss_curves.png").read_bytes() == (second / "loss_curves.png").read_bytes()
    newest = [list_checkpoints(folder / "checkpoints")[0] for folder in (first, second)]
    np.testing.assert_equal(*(read_archive(path, "a checkpoint")[0] for path in newest))
    images = [SavedGenerator(folder / "exported_model").sample(range(32))
              for folder in (first, second)]
    np.testing.assert_array_equal(*images)


LONG = [*TINY, "--epochs", "6", "--num-samples", "4", "--augment", "adaptive",
        "--detail-weight", "8"]


@pytest.fixture(scope="module")
def uninterrupted(tiny_npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_script("train_gan.py", "--dataset", tiny_npz, *LONG, cwd=folder)
    return folder


@pytest.mark.parametrize(("number", "times"), [
    (signal.SIGKILL, 1), *[pytest.param(*stopped, marks=pytest.mark.slow) for stopped in (
        (signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGHUP, 1), (signal.SIGINT, 2))]])
def test_stopped_and_resumed_is_as_uninterrupted(uninterrupted, tiny_npz, tmp_path, number, times):
    command = [sys.executable, ROOT / "train_gan.py", "--dataset", tiny_npz, *LONG]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals)
    end, third = time.monotonic() + 120, tmp_path / "generated_images/epoch_0003.png"
    while not third.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.02)
    output, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL or times == 2:
        # Python itself dies of one that comes while it is leaving; shells say 130 to both.
        assert process.returncode in (-number, 128 + number) and "Traceback" not in errors
    else:
        assert process.returncode == 128 + number, errors
        assert f"saved. To continue:\n  python {ROOT / 'train_gan.py'} --resume\n" in output
        assert errors == ""
    run_script("train_gan.py", "--resume", cwd=tmp_path)
    assert_same_run(uninterrupted, tmp_path)
    assert not list(tmp_path.rglob(".*"))  # no leftovers


@pytest.mark.slow
def test_time_limit_exports_and_can_be_resumed(trained, tiny_npz, tmp_path):
    output = trained("--dataset", tiny_npz, *TINY, "--epochs", 100000, "--max-minutes", 0.25)
    assert "time is up" in output and "train_gan.py --resume" in output
    assert SavedGenerator(tmp_path / "exported_model").sample([0]).shape == (1, 16, 16, 1)


def test_epochs_and_learning_rate_may_change_and_the_data_move(trained, tiny_npz, run, tmp_path):
    shutil.copy(tiny_npz, tmp_path / "moved.npz")
    output = trained("--resume", "--outdir", "run", "--dataset", "moved.npz", "--epochs", 4,
                     "--lr", 0.0001)
    assert "changed     lr from 0.0015 to 0.0001, from step 40 on" in output
    assert "the learning rates now fall towards epoch 4" in output
    config = json.loads((run / "config.json").read_text())
    assert config["lr"] == config["lr_g"] == config["lr_d"] == 0.0001
    assert config["dataset"] == str(tmp_path / "moved.npz")
    assert {"step": 40, "option": "lr", "before": 0.0015, "now": 0.0001} in config["changes"]
    changed = [row["changed"] for row in history(run)]
    assert changed[0] == changed[1] == changed[3] == "" and "lr 0.0015 to 0.0001" in changed[2]


def test_the_best_row_is_the_nearest_to_the_data():
    assert best_row([{"epoch": 1}]) is None
    images = [{"frechet": 3.0}, {"frechet": 1.0}, {"epoch": 3}, {"frechet": 2.0}]
    assert best_row(images) is images[1]
    points = [{"good": 0.2}, {"good": 0.9}, {"good": 0.9}]
    assert best_row(points) is points[1]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_the_best_epoch_is_exported_if_it_was_kept(trained, command, tmp_path, kept):
    first, second = ([], ["--keep-best"])[:: -1 if kept else 1]
    trained("--dataset", "ring", "--base-channels", 4, "--epochs", 4, *first)
    # A rate that is raised makes the last epoch worse than the first ones.
    code, output, errors = command("train_gan.py", "--resume", "--epochs", 5, "--lr", 0.9, *second)
    assert code == 0, errors
    good = [float(row["good"]) for row in history(tmp_path)]
    best = int(np.argmax(good)) + 1
    about = json.loads((tmp_path / "exported_model/assets.extra/gan.json").read_text())
    if not kept and best < 4:  # the last of the first run is kept when the second one starts
        assert f"warning: epoch {best} was the best, but --keep-best was not" in errors
        assert about["epochs"] == 5
        return
    assert best < 5 and f"exported    epoch {best}, the best" in output
    assert about["epochs"] == best and about["metrics"]["good"] == max(good)
    assert command("generate.py", "--output", "a.npz", "--num-images", 1000)[0] == 0
    ring, points = load_dataset("ring"), np.load(tmp_path / "a.npz")["points"]
    assert mode_metrics(points, *ring.modes)["good"] == max(good)
