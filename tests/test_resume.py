"""What may change, and what must be the same, when a run is continued."""

import csv
import json
import shutil

import numpy as np
import pytest

from gan.loop import best_row
from gan.run.history import History
from tests.conftest import TINY, run_script


def rows_of(folder):
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def test_learning_rate_may_change_and_the_change_is_noted(tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    done = run_script("train_gan.py", "--resume", "--epochs", 4, "--lr", 0.0001, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "changed     lr from 0.0015 to 0.0001, from step 40 on" in done.stdout
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["lr"] == config["lr_g"] == config["lr_d"] == 0.0001
    assert {"step": 40, "option": "lr", "before": 0.0015, "now": 0.0001} in config["changes"]
    changed = [row["changed"] for row in rows_of(tmp_path)]
    assert changed[0] == changed[1] == changed[3] == ""
    assert "lr 0.0015 to 0.0001" in changed[2]


def test_data_that_moved_is_known_by_its_content(tiny_npz, tiny_run, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(tiny_run[0], run)
    elsewhere.mkdir()
    shutil.copy(tiny_npz, elsewhere / "moved.npz")
    done = run_script("train_gan.py", "--resume", "--epochs", 3, "--outdir", run,
                      "--dataset", "moved.npz", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    config = json.loads((run / "config.json").read_text())
    assert config["dataset"] == str(elsewhere / "moved.npz")
    again = run_script("train_gan.py", "--resume", "--epochs", 4, "--outdir", run, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_other_data_is_refused(tiny_npz, tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    with np.load(tiny_npz) as arrays:
        np.savez(tmp_path / "other.npz", **{**arrays, "x_train": arrays["x_train"][::-1]})
    done = run_script("train_gan.py", "--resume", "--dataset", "other.npz", cwd=tmp_path)
    assert done.returncode == 2 and "does not hold the samples" in done.stderr


def test_the_model_may_not_change(tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    done = run_script("train_gan.py", "--resume", "--base-channels", 8, cwd=tmp_path)
    assert done.returncode == 2 and "--base-channels: the run to resume has 4" in done.stderr


def test_a_change_is_noted_once_and_survives_a_checkpoint():
    history = History()
    history.add_steps(np.ones((5, 7), np.float32), 1.0)
    history.finish_epoch(1, 5, 16)
    history.note_changes(5, {"ema": (0.9, 0.5)})
    history = History(json.loads(json.dumps(history.to_dict())))
    for epoch in (2, 3):
        history.add_steps(np.ones((5, 7), np.float32), 1.0)
        history.finish_epoch(epoch, 5 * epoch, 16)
    assert [row.get("changed") for row in history.rows] == [None, "ema 0.9 to 0.5", None]


def test_the_best_row_is_the_nearest_to_the_data():
    assert best_row([{"epoch": 1}]) is None
    images = [{"frechet": 3.0}, {"frechet": 1.0}, {"epoch": 3}, {"frechet": 2.0}]
    assert best_row(images) is images[1]
    points = [{"good": 0.2}, {"good": 0.9}, {"good": 0.9}]
    assert best_row(points) is points[1]


@pytest.mark.slow
def test_the_best_epoch_is_exported(tmp_path):
    # A rate that is raised on resuming makes the last epoch worse than the first ones.
    ring = ["--dataset", "ring", "--base-channels", 4, "--metrics-interval", 1, "--keep-best"]
    begun = run_script("train_gan.py", *ring, "--epochs", 4, cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    done = run_script("train_gan.py", "--resume", "--epochs", 5, "--lr", 0.9, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    good = [float(row["good"]) for row in rows_of(tmp_path)]
    best = int(np.argmax(good)) + 1
    assert best < 5 and f"exported    epoch {best}, the best" in done.stdout
    about = json.loads((tmp_path / "exported_model/assets.extra/gan.json").read_text())
    assert about["epochs"] == best and about["metrics"]["good"] == max(good)
    drawn = run_script("generate.py", "--output", "a.npz", "--num-images", 10000, cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    from gan.data.points import simulate
    from gan.evaluate.metrics import mode_metrics

    ring = simulate("ring")
    points = np.load(tmp_path / "a.npz")["points"]
    found = mode_metrics(points, ring.skeleton, ring.mode_of, ring.deviation)
    assert found["good"] == max(good)


def test_best_needs_a_metric(tmp_path):
    done = run_script("train_gan.py", "--keep-best", *TINY, cwd=tmp_path)
    assert done.returncode == 2 and "--keep-best needs --metrics-interval" in done.stderr


@pytest.mark.slow
def test_best_that_was_not_kept_is_told_and_the_last_one_exported(tmp_path):
    ring = ["--dataset", "ring", "--base-channels", 4]
    begun = run_script("train_gan.py", *ring, "--epochs", 3, cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    done = run_script("train_gan.py", "--resume", "--keep-best", "--epochs", 4, "--lr", 0.9,
                      cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    good = [float(row["good"]) for row in rows_of(tmp_path)]
    best = int(np.argmax(good)) + 1
    about = json.loads((tmp_path / "exported_model/assets.extra/gan.json").read_text())
    if best == 3:  # the last of the first run is kept when the second one starts
        assert about["epochs"] == 3 and "exported    epoch 3" in done.stdout
    else:
        assert f"warning: epoch {best} was the best, but --keep-best was not" in done.stderr
        assert about["epochs"] == 4


def test_metrics_in_other_features_are_not_mixed():
    history = History()
    for epoch, distance in ((1, 0.9), (2, 0.8)):
        history.add_steps(np.ones((5, 7), np.float32), 1.0)
        history.compare_in("pixels")
        history.finish_epoch(epoch, 5 * epoch, 16)["frechet"] = distance
    history = History(json.loads(json.dumps(history.to_dict())))
    history.compare_in("pixels")
    assert [row.get("frechet") for row in history.rows] == [0.9, 0.8]
    history.compare_in("classifier")
    assert [row.get("frechet") for row in history.rows] == [None, None]
    assert history.rows[1]["epoch"] == 2 and history.rows[1]["generator_loss"] == 1


def test_a_run_folder_that_is_not_there_is_not_made(tmp_path):
    done = run_script("train_gan.py", "--resume", "--outdir", "typo", cwd=tmp_path)
    assert done.returncode == 2 and "got: typo (no such folder)" in done.stderr
    assert list(tmp_path.iterdir()) == []
