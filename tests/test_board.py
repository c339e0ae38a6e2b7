"""TensorBoard's own reader reads the events of a run."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.test_scripts import history


def test_scalars_and_pictures_are_read_back(tiny_run):
    folder, _ = tiny_run
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                 reason="needs tensorboard")
    events = reader.EventAccumulator(str(folder / "tensorboard"),
                                     size_guidance={reader.TENSORS: 0}).Reload()
    from tensorboard.util import tensor_util

    rows = history(folder, "steps.csv")
    for tag in ("discriminator_loss", "generator_loss", "real_score", "discriminator_accuracy"):
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
        found = events.Tensors(tag)
        assert [event.step for event in found] == list(range(1, 41))
        values = [tensor_util.make_ndarray(event.tensor_proto).item() for event in found]
        assert values == pytest.approx([float(row[tag]) for row in rows], rel=1e-6)
    assert events.SummaryMetadata("generated").plugin_data.plugin_name == "images"
    found = events.Tensors("generated")
    names = {0: "epoch_0000", 20: "epoch_0001", 40: "epoch_0002",
             **{step: f"epoch_0000_step_{step:09d}" for step in (4, 6, 8, 11, 16)}}
    assert [event.step for event in found] == sorted(names)
    for event in found:
        width, height, encoded = event.tensor_proto.string_val
        picture = Image.open(folder / f"generated_images/{names[event.step]}.png")
        assert (int(width), int(height)) == picture.size
        shown = Image.open(io.BytesIO(encoded))
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(picture))
