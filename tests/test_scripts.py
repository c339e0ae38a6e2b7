"""The three scripts as a user runs them, and what they leave."""

import csv
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from gan.run.checkpoint import list_checkpoints
from gan.run.history import TIMED
from tests.conftest import ROOT, TINY, run_python


def history(folder, name="history.csv"):
    rows = list(csv.DictReader(io.StringIO((folder / name).read_text())))
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / "generated_images").glob("*.png")}


def test_a_run_leaves_and_prints_what_the_readme_says(tiny_run):
    left = {path.name for path in tiny_run.iterdir()}
    assert left == {"generated_images", "history.csv", "loss_curves.png", "config.json",
                    "checkpoints", "exported_model", "tensorboard", "summary.json", "report.html",
                    "manifest.txt", "steps.csv", "log.txt"}
    within = {f"epoch_0000_step_{step:09d}.png" for step in (4, 6, 8, 11, 16)}
    assert set(pictures(tiny_run)) == {"epoch_0000.png", "epoch_0001.png", "epoch_0002.png",
                                     "real_samples.png", *within}
    for path in (tiny_run / "generated_images").glob("*.png"):
        sheet = np.asarray(Image.open(path))
        assert sheet.shape[0] == sheet.shape[1] >= 500
    assert len({*pictures(tiny_run).values()}) == 4 + len(within)
    rows = history(tiny_run)
    assert [row["epoch"] for row in rows] == ["1", "2"] and rows[1]["step"] == "40"
    assert [path.name for path in list_checkpoints(tiny_run / "checkpoints")] == [
        "step_000000040.npz", "step_000000020.npz"]
    lines = tiny_run.with_suffix(".txt").read_text().splitlines()
    for start in ("device ", "precision   float32",
                  "data        shapes: 320 images of 16 x 16 x 1, 2 classes", "condition ",
                  "networks ", "plan ", "output ", "epoch 1/2", "epoch 2/2",
                  "trained 2 of 2 epochs, 40 steps", "losses ", "next:"):
        assert any(line.startswith(start) for line in lines), start
    # The commands work where this one was typed.
    assert lines[-2:] == [f"  python {ROOT / 'generate.py'} --output samples.png",
                          f"  python {ROOT / 'make_gif.py'}"]
    assert len(lines) < 40


def test_export_draws_with_tensorflow_alone_and_describes_itself(tiny_run, tmp_path):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run_python("-c", f"""
import sys
import tensorflow as tf
model = tf.saved_model.load({str(tiny_run / "exported_model")!r})
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
""", cwd=tmp_path, env=clean)
    about = json.loads((tiny_run / "exported_model/assets.extra/gan.json").read_text())
    assert about["sample_shape"] == [16, 16, 1] and about["class_names"] == ["0", "1"]
    assert about["latent_dim"] == 8 and about["epochs"] == 2 and about["steps"] == 40
    assert about["config"]["dataset"] == "shapes.npz" and about["version"]
    # It names no path.
    assert "outdir" not in about["config"] and not re.search(r'": "/', json.dumps(about))


def test_dry_run_shows_the_plan_and_writes_nothing(trained, tiny_npz, tmp_path):
    output = trained("--dataset", tiny_npz, *TINY, "--dry-run")
    assert "dry run" in output and "Conv2DTranspose" in output
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_scalars_and_pictures(tiny_run):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                 reason="needs tensorboard")
    events = reader.EventAccumulator(str(tiny_run / "tensorboard"),
                                     size_guidance={reader.TENSORS: 0}).Reload()
    from tensorboard.util import tensor_util

    for tag in ("discriminator_loss", "generator_loss", "real_score", "discriminator_accuracy"):
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
        values = [tensor_util.make_ndarray(event.tensor_proto).item()
                  for event in events.Tensors(tag)]
        assert values == pytest.approx([float(row[tag]) for row in history(tiny_run, "steps.csv")])
    assert events.SummaryMetadata("generated").plugin_data.plugin_name == "images"
    found = events.Tensors("generated")
    assert [event.step for event in found] == [0, 4, 6, 8, 11, 16, 20, 40]
    for event, name in ((found[1], "epoch_0000_step_000000004"), (found[-1], "epoch_0002")):
        shown = Image.open(io.BytesIO(event.tensor_proto.string_val[2]))
        picture = Image.open(tiny_run / f"generated_images/{name}.png")
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(picture))
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = parse_session_start_info_plugin_data(content).hparams
    assert hparams["loss"].string_value == "nonsaturating" and not hparams["mirror"].bool_value
    assert (hparams["clusters"].number_value, hparams["lr_g"].number_value) == (2, 1.5e-3)
    assert not {"outdir", "resume", "tensorboard"} & {*hparams}
