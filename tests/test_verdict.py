import numpy as np
import pytest

from gan.measure.verdict import judge
from tests.conftest import TINY, run_script

FLOOR = {"frechet": 1.0, "precision": 0.9, "recall": 0.8, "classes": 10}
GOOD = {"frechet": 1.5, "precision": 0.88, "recall": 0.78, "classes": 10, "separation": 0.6,
        "discriminator_loss": 1.3, "generator_loss": 0.8}
POINT_FLOOR = {"modes": 8, "good": 0.99}


def rows(*figures):
    return [{"epoch": number, "step": 10 * number} | row for number, row in enumerate(figures, 1)]


@pytest.mark.parametrize(("figures", "kind"), [
    ([GOOD], "good"),
    ([GOOD | {"separation": 0.99}], "good"),  # what counts is what is generated
    ([GOOD | {"frechet": 9, "precision": 0.2, "separation": 0.99, "discriminator_loss": 0.1}],
     "won"),
    # It ranks well but is not sure of it: there is a slope to learn from.
    ([GOOD | {"frechet": 9, "precision": 0.2, "separation": 0.99}], "settled"),
    ([GOOD | {"frechet": 9, "recall": 0.1}], "collapse"),
    ([GOOD | {"frechet": 9, "generator_loss": -2e5}], "diverged"),
    ([GOOD | {"frechet": 9, "classes": 7}], "collapse"),
    # Neither of the data nor varied: untrained rather than collapsed.
    ([GOOD | {"frechet": 99, "precision": 0.1, "recall": 0.0}], "settled"),
    ([GOOD | {"frechet": 4}, GOOD | {"frechet": 9}], "worse"),
    ([GOOD | {"frechet": 9}, GOOD | {"frechet": 4}], "improving"),
    ([GOOD | {"frechet": 4.1}, GOOD | {"frechet": 4}], "settled"),
])
def test_images_are_judged_by_what_was_measured(figures, kind):
    assert judge(rows(*figures), FLOOR, "nonsaturating").kind == kind


@pytest.mark.parametrize(("figures", "kind"), [
    ([(8, 0.97)], "good"), ([(2, 0.9)], "collapse"), ([(0, 0.02)], "settled"),
    ([(3, 0.2), (8, 0.6)], "improving"), ([(8, 0.85), (8, 0.5)], "worse"),
])
def test_points_are_judged_by_their_modes(figures, kind):
    measured = [GOOD | {"modes": modes, "good": good} for modes, good in figures]
    for row in measured:
        del row["frechet"]
    assert judge(rows(*measured), POINT_FLOOR, "hinge").kind == kind


def test_without_test_images_nothing_is_called_good_or_bad_by_their_measure():
    figures = {name: value for name, value in GOOD.items() if name != "classes"}
    found = judge(rows(figures), {}, "hinge")
    assert found.kind == "settled" and "no trend is known" in str(found)


def test_a_critic_that_ranks_everything_has_not_won():
    row = GOOD | {"frechet": 9, "precision": 0.2, "separation": 1.0, "discriminator_loss": -7.0}
    assert judge(rows(row), FLOOR, "wgan").kind == "settled"


def test_finding_comes_with_what_to_try():
    found = str(judge(rows(GOOD | {"frechet": 9, "recall": 0.1}), FLOOR, "lsgan"))
    assert "mode collapse: what is generated covers 10% of the real" in found
    assert "--gp-weight" in found


def verdict_of(done):
    return next(line for line in done.stdout.splitlines() if line.startswith("verdict"))


def test_a_discriminator_made_to_win_is_found_out(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 8, "--lr-g", 1e-7,
                      "--lr-d", 0.01, "--gradient-penalty", "none", "--metrics-interval", 0,
                      cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the discriminator has won" in verdict_of(done)


def test_a_run_made_to_diverge_is_found_out(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 4, "--lr", 1,
                      "--loss", "lsgan", "--gp-weight", 1000, "--arch", "mlp", cwd=tmp_path)
    assert "diverged: the losses are" in verdict_of(done)


@pytest.mark.slow
def test_a_run_made_to_collapse_is_found_out(tmp_path):
    done = run_script("train_gan.py", "--dataset", "ring", "--gradient-penalty", "none",
                      "--lr-decay", 0, "--lr", 3e-3, "--epochs", 15, cwd=tmp_path)
    assert "mode collapse: " in verdict_of(done)


@pytest.mark.slow
def test_a_run_cut_short_is_still_improving(tmp_path):
    done = run_script("train_gan.py", "--dataset", "grid", "--epochs", 6, "--lr-decay", 0,
                      cwd=tmp_path)
    assert "still improving" in verdict_of(done)
    assert "--resume" in verdict_of(done)


def test_loss_scale_that_falls_without_end_is_reported(tiny_npz, tensorflow, tmp_path):
    from gan.run.loop import DivergedError, Loop
    from tests.test_training import build

    trainer = build(tiny_npz, policy="mixed_float16")
    loop = Loop.__new__(Loop)
    loop.trainer = trainer
    measures = np.zeros((3, 7), np.float32)
    measures[1, 5] = np.inf  # an overflow that the scale has answered
    loop._check(measures)
    assert measures[1, 5] == 0
    trainer.generator_optimizer.dynamic_scale.assign(2.0**-11)
    with pytest.raises(DivergedError, match="loss scale fell to 0.000488"):
        loop._check(measures)


def test_a_gradient_that_is_no_number_is_named_with_its_step(tiny_npz, tensorflow):
    from gan.run.loop import DivergedError, Loop
    from tests.test_training import build

    loop = Loop.__new__(Loop)
    loop.trainer = build(tiny_npz)
    loop.trainer.step.assign(30)
    measures = np.zeros((10, 7), np.float32)
    measures[4, 6] = measures[5:] = np.nan
    with pytest.raises(DivergedError, match="generator_gradient became nan at step 25"):
        loop._check(measures)
