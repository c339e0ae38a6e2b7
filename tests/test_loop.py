"""When a run stops by itself, and that it needs neither the main thread nor a terminal."""

import json
import re
import threading

import numpy as np
import pytest

import train_gan
from gan.loop import LEAST_SCALE, DivergedError, checked
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


@pytest.fixture
def trained_in_a_thread(tiny_npz, tensorflow, tmp_path, monkeypatch, capsys):
    """Exit code, folder and output of a run in a thread of its own."""
    monkeypatch.chdir(tmp_path)
    codes = []
    arguments = ["--dataset", str(tiny_npz), *TINY, *QUICK]
    thread = threading.Thread(target=lambda: codes.append(train_gan.main(arguments)))
    thread.start()
    thread.join()
    return codes, tmp_path, capsys.readouterr().out


def test_a_run_outside_the_main_thread_in_eighty_columns(trained_in_a_thread):
    codes, folder, output = trained_in_a_thread
    assert codes == [0] and (folder / "exported_model/saved_model.pb").exists()
    for line in output.split("\nnext:")[0].splitlines():
        assert len(line) <= 80 or "/" in line, line  # a path is not cut
    assert "plan        1 epoch, 20 steps of 16 images" in output
    assert re.search(r"trained 1 of 1 epoch, 20 steps; \d+ s in all", output)
    assert not re.search(r"\b1 (epochs|steps|images|clusters|PCA coordinates)\b", output)
    config = json.loads((folder / "config.json").read_text())
    assert {"auto", None}.isdisjoint(config.values())
    assert (config["clusters"], config["components"], config["image_size"]) == (1, 1, 16)
    assert (config["device"], config["mixed_precision"]) == ("cpu", "off")


def test_a_loss_and_an_architecture_of_ones_own_are_one_entry_each(
        tiny_npz, tensorflow, tmp_path, monkeypatch):
    from keras import layers

    from gan.losses import LOSSES, Loss
    from gan.models import ARCHITECTURES, Architecture

    def generator(config, shape):
        yield layers.Dense(int(np.prod(shape)))
        yield layers.Reshape(shape)

    def discriminator(config, shape):
        yield layers.Flatten()
        yield layers.Dense(config.base_channels, activation="relu")

    def softened(real, fake):
        return tensorflow.reduce_mean(tensorflow.nn.softplus(1 - real)
                                      + tensorflow.nn.softplus(1 + fake))

    monkeypatch.setitem(ARCHITECTURES, "mine", Architecture(generator, discriminator))
    monkeypatch.setitem(LOSSES, "mine", Loss(softened, lambda real, fake: -softened(fake, real)))
    monkeypatch.chdir(tmp_path)
    assert train_gan.main(["--dataset", str(tiny_npz), *TINY, *QUICK,
                           "--loss", "mine", "--arch", "mine"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {"frechet", "recall"} <= summary["metrics"]["generated"].keys()
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["loss"], config["arch"]) == ("mine", "mine")
    model = tensorflow.saved_model.load(tmp_path / "exported_model")
    drawn = model.signatures["sample"](seeds=tensorflow.constant([1, 2], tensorflow.int64))
    assert drawn["images"].shape == (2, 16, 16, 1)
