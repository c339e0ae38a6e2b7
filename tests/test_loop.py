"""When a run stops by itself, and that it needs neither the main thread nor a terminal."""

import json
import re
import threading

import numpy as np
import pytest
import tensorflow as tf

import train_gan
from gan.losses import LOSSES
from gan.models import ARCHITECTURES
from gan.run.verdict import LEAST_SCALE, DivergedError, checked
from gan.training import GRADIENTS, MEASURES
from tests.conftest import QUICK, TINY


@pytest.mark.parametrize("loss_scale", [None, 2.0**15])
@pytest.mark.parametrize("column", range(len(MEASURES)))
def test_what_is_not_a_number_stops_the_run_at_its_step(column, loss_scale):
    measures = np.zeros((10, len(MEASURES)), np.float32)
    measures[4, column] = measures[5, 0] = np.nan
    skipped = loss_scale and column in range(len(MEASURES))[GRADIENTS]
    name, step = (MEASURES[0], 26) if skipped else (MEASURES[column], 25)
    with pytest.raises(DivergedError, match=f"{name} became nan at step {step}"):
        checked(measures, 30, loss_scale)


def test_an_overflow_of_float16_is_no_defect_unless_it_never_ends():
    measures = np.ones((3, len(MEASURES)), np.float32)
    measures[1, GRADIENTS] = np.inf
    found = checked(measures, 3, LEAST_SCALE)
    assert (found[1, GRADIENTS] == 0).all() and found.sum() == measures.size - 2
    with pytest.raises(DivergedError, match="loss scale fell to 0.000488"):
        checked(measures, 3, LEAST_SCALE / 2)
    with pytest.raises(DivergedError, match="gradient became inf at step 2"):
        checked(measures, 3)


def test_a_run_with_own_entries_outside_the_main_thread(tiny_npz, tmp_path, monkeypatch, capsys):
    mine = LOSSES["hinge"]._replace(generator=LOSSES["nonsaturating"].generator)
    monkeypatch.setitem(LOSSES, "mine", mine)
    mixed = ARCHITECTURES["mlp"]._replace(discriminator=ARCHITECTURES["conv"].discriminator)
    monkeypatch.setitem(ARCHITECTURES, "mine", mixed)
    monkeypatch.chdir(tmp_path)
    codes = []
    arguments = ["--dataset", str(tiny_npz), *TINY, *QUICK, "--loss", "mine", "--arch", "mine"]
    thread = threading.Thread(target=lambda: codes.append(train_gan.main(arguments)))
    thread.start()
    thread.join()
    output = capsys.readouterr().out
    assert codes == [0]
    for line in output.split("\nnext:")[0].splitlines():
        assert len(line) <= 80 or "/" in line, line  # a path is not cut
    assert "plan        1 epoch, 20 steps of 16 images" in output
    assert re.search(r"trained 1 of 1 epoch, 20 steps; \d+ s in all", output)
    assert not re.search(r"\b1 (epochs|steps|images|clusters|PCA coordinates)\b", output)
    config = json.loads((tmp_path / "config.json").read_text())
    assert {"auto", None}.isdisjoint(config.values())
    assert {"loss": "mine", "arch": "mine", "clusters": 1, "components": 1, "image_size": 16,
            "device": "cpu", "mixed_precision": "off"}.items() <= config.items()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"frechet", "recall"} <= summary["metrics"]["generated"].keys()
    model = tf.saved_model.load(tmp_path / "exported_model")
    drawn = model.signatures["sample"](seeds=tf.constant([1, 2], tf.int64))
    assert drawn["images"].shape == (2, 16, 16, 1)
