"""The three scripts as a user runs them, and what they leave."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.common.files import read_archive
from gan.run.checkpoint import list_checkpoints
from gan.run.history import TIMED
from tests.conftest import ROOT, TINY, heed_signals, run_script


def history(folder):
    rows = list(csv.DictReader(io.StringIO((folder / "history.csv").read_text())))
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / "generated_images").glob("*.png")}


def export_arrays(folder):
    """All variables of the exported model, in a process of its own."""
    code = ("import sys, numpy as np, tensorflow as tf;"
            "m = tf.saved_model.load(sys.argv[1]);"
            "np.savez(sys.argv[2], m.signatures['sample'](seeds=tf.range(32, dtype=tf.int64))"
            "['images'].numpy())")
    target = folder / "drawn.npz"
    subprocess.run([sys.executable, "-c", code, str(folder / "exported_model"), str(target)],
                   check=True, capture_output=True)
    with np.load(target) as drawn:
        return drawn["arr_0"]


def assert_same_run(first, second):
    assert history(first) == history(second)
    assert pictures(first) == pictures(second)
    assert (first / "loss_curves.png").read_bytes() == (second / "loss_curves.png").read_bytes()
    a, b = (read_archive(list_checkpoints(folder / "checkpoints")[0], "a checkpoint")[0]
            for folder in (first, second))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    np.testing.assert_array_equal(export_arrays(first), export_arrays(second))


def test_a_run_leaves_what_the_readme_says(tiny_run):
    folder, done = tiny_run
    left = {path.name for path in folder.iterdir()}
    assert left == {"generated_images", "history.csv", "loss_curves.png", "config.json",
                    "checkpoints", "exported_model", "tensorboard", "summary.json", "report.html",
                    "manifest.txt"}
    within = {f"epoch_0000_step_{step:09d}.png" for step in (4, 6, 8, 11, 16)}
    assert set(pictures(folder)) == {"epoch_0000.png", "epoch_0001.png", "epoch_0002.png",
                                     "real_samples.png", *within}
    for path in (folder / "generated_images").glob("*.png"):
        sheet = np.asarray(Image.open(path))
        assert sheet.shape[0] == sheet.shape[1] >= 500
    assert len({*pictures(folder).values()}) == 4 + len(within)
    rows = history(folder)
    assert [row["epoch"] for row in rows] == ["1", "2"] and rows[1]["step"] == "40"
    config = json.loads((folder / "config.json").read_text())
    assert config["epochs"] == 2 and config["lr_g"] == config["lr"] == 0.0015
    assert [path.name for path in list_checkpoints(folder / "checkpoints")] == [
        "step_000000040.npz", "step_000000020.npz"]


def test_what_a_run_prints(tiny_run):
    _, done = tiny_run
    assert done.stderr == ""  # no bar in a file, no noise from TensorFlow
    lines = done.stdout.splitlines()
    for start in ("device ", "precision   float32",
                  "data        shapes: 320 images of 16 x 16 x 1, 2 classes", "condition ",
                  "networks ", "plan ", "output ", "epoch 1/2", "epoch 2/2",
                  "trained 2 of 2 epochs, 40 steps",
                  "losses ", "next:"):
        assert any(line.startswith(start) for line in lines), start
    # The commands work where this one was typed.
    assert lines[-2:] == [f"  python {ROOT / 'generate.py'} --output samples.png",
                          f"  python {ROOT / 'make_gif.py'}"]
    assert len(lines) < 40


def test_tensorboard_events_hold_scalars_and_pictures(tiny_run, tensorflow):
    from tensorflow.core.util import event_pb2

    folder, _ = tiny_run
    found = {}
    for path in (folder / "tensorboard").glob("*.gan"):
        for record in tensorflow.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
                assert value.metadata.plugin_data.plugin_name in {"scalars", "images"}
    assert found["generator_loss"] == [1, 2] and found["generated"] == [0, 1, 2]


def test_export_draws_with_tensorflow_alone(tiny_run, tmp_path):
    folder, _ = tiny_run
    code = f"""
import sys
import tensorflow as tf
model = tf.saved_model.load({str(folder / "exported_model")!r})
assert set(model.signatures) == {{"serving_default", "sample", "sample_labels", "latents",
                                  "latents_labels", "condition_vectors", "images_from_vectors"}}
sample = model.signatures["sample"]
images = sample(seeds=tf.range(64, dtype=tf.int64))["images"]
assert images.shape == (64, 16, 16, 1) and images.dtype == tf.uint8, images
for seeds in ([3], [63, 3, 0], list(range(10, 50))):
    again = sample(seeds=tf.constant(seeds, tf.int64))["images"]
    assert (again.numpy() == images.numpy()[seeds]).all(), seeds
drawn = model.signatures["latents"](seeds=tf.range(64, dtype=tf.int64))
served = model.signatures["serving_default"](**drawn)["images"]
assert served.dtype == tf.float32 and 0 <= served.numpy().min() <= served.numpy().max() <= 1
assert (tf.cast(tf.round(served * 255), tf.uint8).numpy() == images.numpy()).all()
labelled = model.signatures["sample_labels"](
    seeds=tf.range(4, dtype=tf.int64), labels=tf.constant([0, 1, 0, 1]))["images"]
assert labelled.shape == (4, 16, 16, 1)
assert not [name for name in sys.modules if name == "gan" or name.startswith("gan.")]
"""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_export_describes_itself(tiny_run):
    folder, _ = tiny_run
    about = json.loads((folder / "exported_model/assets.extra/gan.json").read_text())
    assert about["sample_shape"] == [16, 16, 1] and about["class_names"] == ["0", "1"]
    assert about["latent_dim"] == 8 and about["epochs"] == 2 and about["steps"] == 40
    assert about["config"]["dataset"].endswith("shapes.npz") and about["version"]


def start_training(folder, *arguments):
    return subprocess.Popen([sys.executable, str(ROOT / "train_gan.py"), *map(str, arguments)],
                            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=heed_signals)


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists(), process.communicate()


LONG = [*TINY, "--epochs", 12, "--num-samples", 4]


@pytest.fixture(scope="module")
def uninterrupted(tiny_npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run_script("train_gan.py", "--dataset", tiny_npz, *LONG, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", [
    signal.SIGKILL, signal.SIGINT,
    pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
])
def test_stopped_and_resumed_is_the_uninterrupted_run(uninterrupted, tiny_npz, tmp_path, number):
    process = start_training(tmp_path, "--dataset", tiny_npz, *LONG)
    wait_for(tmp_path / "generated_images/epoch_0005.png", process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number, errors
        assert f"saved. To continue:\n  python {ROOT / 'train_gan.py'} --resume\n" in output
        assert errors == ""
    done = run_script("train_gan.py", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_run(uninterrupted, tmp_path)
    leftovers = [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert leftovers == []


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_run_at_once_and_loses_nothing(uninterrupted, tiny_npz, tmp_path):
    process = start_training(tmp_path, "--dataset", tiny_npz, *LONG)
    wait_for(tmp_path / "generated_images/epoch_0003.png", process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, errors = process.communicate(timeout=60)
    # Python itself dies of one that comes while it is leaving; shells say 130 to both.
    assert process.returncode in (128 + signal.SIGINT, -signal.SIGINT)
    assert "Traceback" not in errors
    done = run_script("train_gan.py", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_run(uninterrupted, tmp_path)


@pytest.mark.slow
def test_a_finished_run_goes_on_with_more_epochs(tiny_npz, tmp_path):
    run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, cwd=tmp_path)
    done = run_script("train_gan.py", "--resume", "--epochs", 2, cwd=tmp_path)
    assert done.returncode == 0 and "note: the learning rates now fall" in done.stdout
    assert [row["epoch"] for row in history(tmp_path)] == ["1", "2"]


@pytest.mark.slow
def test_time_limit_exports_and_can_be_resumed(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 100000,
                      "--max-minutes", 0.25, cwd=tmp_path)
    assert done.returncode == 0 and "time is up" in done.stdout, done.stderr
    assert "train_gan.py --resume" in done.stdout
    assert export_arrays(tmp_path).shape == (32, 16, 16, 1)


def test_damaged_checkpoint_gives_way_to_the_one_before(uninterrupted, tiny_npz, tmp_path):
    import shutil

    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    newest = list_checkpoints(tmp_path / "checkpoints")[0]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = run_script("train_gan.py", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stderr and "taking the one before it" in done.stderr
    assert_same_run(uninterrupted, tmp_path)


def test_second_run_in_a_folder_is_refused(tiny_npz, tmp_path):
    process = start_training(tmp_path, "--dataset", tiny_npz, *TINY, "--epochs", 100000)
    wait_for(tmp_path / "generated_images/epoch_0000.png", process)
    second = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, cwd=tmp_path)
    process.kill()
    process.communicate()
    assert second.returncode == 2 and f"process {process.pid} is training there" in second.stderr
    after = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, "--overwrite",
                       cwd=tmp_path)
    assert after.returncode == 0, after.stderr


def test_dry_run_shows_the_plan_and_writes_nothing(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0 and "dry run" in done.stdout and "Conv2DTranspose" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_bar_on_a_terminal(tiny_npz, tmp_path):
    import pty

    main, side = pty.openpty()
    arguments = [sys.executable, str(ROOT / "train_gan.py"), "--dataset", str(tiny_npz),
                 *map(str, TINY), "--epochs", "30"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other side was closed
            break
        if not part:
            break
        shown += part
    assert process.wait(60) == 0
    assert b"img/s" in shown and b"loss D" in shown and b"epoch 30/30" in shown


@pytest.mark.slow
def test_metrics_of_other_data_train_a_classifier_once(tiny_npz, tmp_path):
    cache = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = ["--dataset", tiny_npz, *TINY, "--epochs", 2, "--metrics-interval", 1]
    first = run_script("train_gan.py", *arguments, "--outdir", "a", cwd=tmp_path, env=cache)
    assert first.returncode == 0 and "training a classifier" in first.stdout, first.stderr
    rows = history(tmp_path / "a")
    assert all(float(row["frechet"]) > 0 and 0 <= float(row["recall"]) <= 1 for row in rows)
    second = run_script("train_gan.py", *arguments, "--outdir", "b", cwd=tmp_path, env=cache)
    assert second.returncode == 0 and "training a classifier" not in second.stdout
    assert history(tmp_path / "b") == rows
    kept, = (tmp_path / "cache/gan").glob("classifier_*")
    kept.write_bytes(kept.read_bytes()[:5000])
    third = run_script("train_gan.py", *arguments, "--outdir", "c", cwd=tmp_path, env=cache)
    assert third.returncode == 0 and "damaged" in third.stderr
    evaluated = subprocess.run(
        [sys.executable, "-m", "gan.evaluate", "--model", str(tmp_path / "c/exported_model"),
         "--num-images", "10000", "--json", str(tmp_path / "metrics.json")],
        cwd=ROOT, env=cache, capture_output=True, text=True)
    assert evaluated.returncode == 0, evaluated.stderr
    measured = json.loads((tmp_path / "metrics.json").read_text())
    last = history(tmp_path / "c")[-1]
    for name in ("frechet", "kid", "precision", "recall"):
        assert measured["generated"][name] == pytest.approx(float(last[name]))
    assert measured["features"]["kind"] == "classifier"
    assert f"accuracy {measured['features']['accuracy']:.1%} on held-out" in third.stdout
    assert measured["test_images"]["frechet"] < measured["generated"]["frechet"]


@pytest.mark.slow
def test_unlabelled_data_is_measured_in_pixels(tiny_npz, tmp_path):
    with np.load(tiny_npz) as arrays:
        np.savez(tmp_path / "bare.npz", x_train=arrays["x_train"], x_test=arrays["x_test"])
    done = run_script("train_gan.py", "--dataset", "bare.npz", *TINY, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 0 and "quality " in done.stdout, done.stderr
    assert "20 clusters of all images" in done.stdout
    evaluated = subprocess.run([sys.executable, "-m", "gan.evaluate", "--model",
                                str(tmp_path / "exported_model"), "--num-images", "500",
                                "--dataset", str(tmp_path / "bare.npz")],
                               cwd=ROOT, capture_output=True, text=True)
    assert evaluated.returncode == 0 and "principal components of the pixels" in evaluated.stdout
    assert "nearest" in evaluated.stdout and "confident" not in evaluated.stdout


@pytest.mark.slow
def test_a_single_condition_needs_none_to_be_given(tiny_npz, tmp_path, tensorflow):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1,
                      "--condition", "none", cwd=tmp_path)
    assert done.returncode == 0 and "condition   none" in done.stdout, done.stderr
    model = tensorflow.saved_model.load(str(tmp_path / "exported_model"))
    assert set(model.signatures) == {"serving_default", "sample", "latents"}
    served = model.signatures["serving_default"](latents=tensorflow.zeros([3, 8]))["images"]
    assert served.shape == (3, 16, 16, 1)
    for form in (["a.gif", "--interpolate", "0,1", "--frames", 3],
                 ["a.png", "--grid", "2x2", "--truncation", 0.7]):
        drawn = run_script("generate.py", "--output", *form, cwd=tmp_path)
        assert drawn.returncode == 0, drawn.stderr
    assert Image.open(tmp_path / "a.gif").n_frames == 6


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian_is_trained_and_drawn_by_name(tmp_path):
    done = run_script("train_gan.py", "--dataset", FASHION, "--base-channels", 4, "--batch-size",
                      256, "--epochs", 1, "--clusters", 2, "--num-samples", 20, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fashion-mnist: 60,000 images of 28 x 28 x 1, 10 classes" in done.stdout
    drawn = run_script("generate.py", "--label", "sneaker", "--output", "a.png", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    refused = run_script("generate.py", "--label", "hat", "--output", "b.png", cwd=tmp_path)
    assert "a class of the generator (T-shirt, Trouser" in refused.stderr
    assert refused.returncode == 2
