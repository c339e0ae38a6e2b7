"""Verdicts on histories and on runs made to fail; when a run stops by itself."""

import dataclasses
import json
import re
import threading

import numpy as np
import pytest
import tensorflow as tf

import train_gan
from gan.config import TrainConfig
from gan.losses import LOSSES
from gan.models import ARCHITECTURES
from gan.run.options import parse_options
from gan.run.verdict import HINTS, LEAST_SCALE, DivergedError, checked, verdict_of
from gan.training import GRADIENTS, MEASURES
from tests.conftest import QUICK, TINY, complete

REFERENCE = {"frechet": 1.0, "precision": 0.9, "recall": 0.8, "classes": 10}
GOOD = {"frechet": 1.5, "precision": 0.88, "recall": 0.78, "classes": 10,
        "discriminator_accuracy": 0.6, "discriminator_loss": 1.3, "generator_loss": 0.8}
FAR = GOOD | {"frechet": 9}
UNSURE = FAR | {"precision": 0.2, "discriminator_accuracy": 0.99}
POINT_REFERENCE = {"modes": 8, "good": 0.99}


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


def points(*measured):
    return [without(GOOD, "frechet") | {"modes": modes, "good": good} for modes, good in measured]


def judge(measured, real=REFERENCE, *options, shape=(28, 28, 1)):
    """The verdict on epochs of 1,000 steps each."""
    config = complete(parse_options(list(options))[0], (60_000, *shape))
    rows = [{"epoch": number, "step": 1000 * number} | row
            for number, row in enumerate(measured, 1)]
    return verdict_of(rows, real, config)


@pytest.mark.parametrize(("measured", "kind"), [
    ([GOOD], "good"),
    ([GOOD | {"discriminator_accuracy": 0.99}], "good"),  # what counts is what is generated
    ([UNSURE | {"discriminator_loss": 0.1}], "won"),
    ([UNSURE], "behind"),  # it ranks well but is not sure of it: there is a slope to learn from
    ([FAR | {"recall": 0.1}], "collapse"),
    ([FAR | {"classes": 7}], "collapse"),
    ([FAR | {"generator_loss": -2e5}], "diverged"),
    ([FAR | {"discriminator_loss": 1853.0, "generator_loss": 3749.0}], "diverged"),
    # Neither of the data nor varied: untrained rather than collapsed.
    ([GOOD | {"frechet": 99, "precision": 0.1, "recall": 0.0}], "behind"),
    ([GOOD | {"frechet": 4}, FAR], "worse"),
    ([FAR, GOOD | {"frechet": 4}], "improving"),
    ([GOOD | {"frechet": 4.1}, GOOD | {"frechet": 4}], "behind"),  # two are no trend
    ([GOOD | {"frechet": 4.1}] * 3 + [GOOD | {"frechet": 4}], "settled"),
    ([without(GOOD, "frechet")], "unknown"),
    ([FAR | {"precision": 0.0}], "outside"),
    ([FAR | {"recall": 0.0, "step": 20}], "early"), ([GOOD | {"step": 20}], "good")])
def test_verdicts_on_images_follow_what_was_measured(measured, kind):
    found = judge(measured, REFERENCE, "--epochs", str(len(measured)))
    assert found.kind == kind
    hint = f". Try {HINTS[kind]}" if kind in HINTS else ""
    assert str(found) == found.finding + hint
    # A run that was cut short is told to resume, as the last line of its output does.
    found = judge(measured, REFERENCE, "--epochs", "9")
    assert found.hint.startswith("--resume") == (kind not in ("good", "unknown", "diverged"))
    assert (found.hint == "--resume") == (kind in ("early", "improving", "behind", "settled"))


def test_hints_name_options_that_there_are():
    options = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(TrainConfig)}
    assert set(re.findall(r"--[a-z-]+", " ".join(HINTS.values()))) <= options


@pytest.mark.parametrize(("measured", "kind"), [
    ([(8, 0.97)], "good"), ([(2, 0.9)], "collapse"), ([(0, 0.02)], "outside"),
    ([(3, 0.2), (8, 0.6)], "improving"), ([(8, 0.85), (8, 0.5)], "worse"),
    ([(0, 0.0), (0, 0.04)], "outside"), ([(3, 0.4)], "behind"), ([(1, 0.04)], "outside")])
def test_verdicts_on_points_follow_their_modes(measured, kind):
    assert judge(points(*measured), POINT_REFERENCE, "--dataset", "ring", "--loss", "hinge",
                 shape=(2,)).kind == kind


@pytest.mark.parametrize(("measured", "real", "loss"), [
    (GOOD, {}, "hinge"),  # without test images nothing is good or bad by their measure
    (without(GOOD, "precision", "recall"), {"frechet": 0.0}, "nonsaturating"),
    (UNSURE | {"discriminator_loss": -7.0}, REFERENCE, "wgan"),  # a critic has no such victory
])
def test_nothing_is_concluded_from_what_is_not_known(measured, real, loss):
    found = judge([measured], real, "--loss", loss)
    assert found.kind == "behind" and "too early for a trend" in str(found)


@pytest.mark.parametrize(("measured", "reason"), [
    ([GOOD | {"recall": 0.8 * 0.62}], "recall is 62% of real samples'"),
    ([GOOD | {"frechet": 4.2}], "the Fréchet distance is 4.2 times"),
    # Compared with as many real images, fewer of which come out farther away.
    ([GOOD | {"frechet_ratio": 3.5}], "the Fréchet distance is 3.5 times"),
    (points((1, 0.9)), "1 of 8 modes")])
def test_the_verdict_names_what_falls_short(measured, reason):
    assert reason in judge(measured, POINT_REFERENCE if "modes" in measured[0] else REFERENCE
                           ).finding


@pytest.mark.parametrize(("shapes", "options", "said"), [
    (True, "--epochs 4 --lr 1 --loss lsgan --gp-weight 1000 --arch mlp --metrics-interval 0",
     ["verdict diverged: the losses are", ". Try a lower learning rate (--lr)"]),
    pytest.param(True, "--epochs 46 --lr-g 1e-7 --lr-d 0.01 --gradient-penalty none "
                 "--metrics-interval 0", ["verdict the discriminator has won"],
                 marks=pytest.mark.slow),
    pytest.param(False, "--dataset ring --gradient-penalty none --lr-decay 0 --lr 3e-3 --epochs 15",
                 ["verdict mode collapse: "], marks=pytest.mark.slow)])
def test_a_run_made_to_fail_is_found_out(tiny_npz, trained, shapes, options, said):
    data = ["--dataset", tiny_npz, *TINY] if shapes else []
    output = " ".join(trained(*data, *options.split()).split())
    assert all(text in output for text in said)


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
