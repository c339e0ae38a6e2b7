import dataclasses
import itertools
import re

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.config import TrainConfig
from gan.defaults import complete_for
from gan.option_rules import continued
from gan.run.advice import Suggestion, arguments_of, can_be_followed
from gan.run.verdict import diverged, verdict_of
from tests.conftest import TINY, run_script

REFERENCE = {"frechet": 1.0, "precision": 0.9, "recall": 0.8, "classes": 10}
GOOD = {"frechet": 1.5, "precision": 0.88, "recall": 0.78, "classes": 10, "separation": 0.6,
        "discriminator_loss": 1.3, "generator_loss": 0.8}
POINT_REFERENCE = {"modes": 8, "good": 0.99}


def rows(*measured):
    return [{"epoch": number, "step": 1000 * number} | row
            for number, row in enumerate(measured, 1)]


def config_of(*options, shape=(28, 28, 1)):
    """The configuration as a run ends with it."""
    config = TrainConfig.from_arguments(list(options))[0]
    return complete_for(config, (60_000, *shape), config.condition)


@pytest.mark.parametrize(("measured", "kind"), [
    ([GOOD], "good"),
    ([GOOD | {"separation": 0.99}], "good"),  # what counts is what is generated
    ([GOOD | {"frechet": 9, "precision": 0.2, "separation": 0.99, "discriminator_loss": 0.1}],
     "won"),
    # It ranks well but is not sure of it: there is a slope to learn from.
    ([GOOD | {"frechet": 9, "precision": 0.2, "separation": 0.99}], "behind"),
    ([GOOD | {"frechet": 9, "recall": 0.1}], "collapse"),
    ([GOOD | {"frechet": 9, "generator_loss": -2e5}], "diverged"),
    ([GOOD | {"frechet": 9, "discriminator_loss": 1853.0, "generator_loss": 3749.0}], "diverged"),
    ([GOOD | {"frechet": 9, "classes": 7}], "collapse"),
    # Neither of the data nor varied: untrained rather than collapsed.
    ([GOOD | {"frechet": 99, "precision": 0.1, "recall": 0.0}], "behind"),
    ([GOOD | {"frechet": 4}, GOOD | {"frechet": 9}], "worse"),
    ([GOOD | {"frechet": 9}, GOOD | {"frechet": 4}], "improving"),
    ([GOOD | {"frechet": 4.1}, GOOD | {"frechet": 4}], "behind"),  # two are no trend
    ([GOOD | {"frechet": 4.1}] * 3 + [GOOD | {"frechet": 4}], "settled"),
    ([{name: value for name, value in GOOD.items() if name != "frechet"}], "unknown"),
])
def test_verdicts_on_images_follow_what_was_measured(measured, kind):
    assert verdict_of(rows(*measured), REFERENCE, config_of()).kind == kind


@pytest.mark.parametrize(("measured", "kind"), [
    ([(8, 0.97)], "good"), ([(2, 0.9)], "collapse"), ([(0, 0.02)], "behind"),
    ([(3, 0.2), (8, 0.6)], "improving"), ([(8, 0.85), (8, 0.5)], "worse"),
    ([(0, 0.0), (0, 0.04)], "behind"),
])
def test_verdicts_on_points_follow_their_modes(measured, kind):
    measured = [GOOD | {"modes": modes, "good": good} for modes, good in measured]
    for row in measured:
        del row["frechet"]
    config = config_of("--dataset", "ring", "--loss", "hinge", shape=(2,))
    assert verdict_of(rows(*measured), POINT_REFERENCE, config).kind == kind


def test_nothing_but_good_and_diverged_is_said_of_the_first_steps():
    collapsed = {"epoch": 2, "step": 20} | GOOD | {"frechet": 9, "recall": 0.0}
    found = verdict_of([collapsed], REFERENCE, config_of())
    assert found.kind == "early"
    assert str(found).startswith("too early to judge: step 20 of the 900 that a verdict needs")
    assert "--resume --epochs 90" in str(found)  # ten steps an epoch
    assert verdict_of([collapsed | GOOD], REFERENCE, config_of()).kind == "good"


def test_a_run_that_was_cut_within_an_epoch_is_told_enough_epochs():
    row = {"epoch": 19, "step": 376, "steps_per_epoch": 19} | GOOD | {"frechet": 9, "recall": 0.0}
    found = verdict_of([row], REFERENCE, config_of("--epochs", "20"))
    assert "--resume --epochs 48" in str(found)  # 48 x 19 = 912


def test_without_test_images_nothing_is_called_good_or_bad_by_their_measure():
    measured = {name: value for name, value in GOOD.items() if name != "classes"}
    found = verdict_of(rows(measured), {}, config_of("--loss", "hinge"))
    assert found.kind == "behind" and "too early to tell a trend" in str(found)


def test_metrics_that_were_left_out_are_not_needed():
    measured = {name: value for name, value in GOOD.items() if name not in ("precision", "recall")}
    assert verdict_of(rows(measured), {"frechet": 0.0}, config_of()).kind == "behind"


def test_a_critic_that_ranks_everything_has_not_won():
    row = GOOD | {"frechet": 9, "precision": 0.2, "separation": 1.0, "discriminator_loss": -7.0}
    assert verdict_of(rows(row), REFERENCE, config_of("--loss", "wgan")).kind == "behind"


def test_finding_comes_with_what_to_try():
    found = str(verdict_of(rows(GOOD | {"frechet": 9, "recall": 0.1}), REFERENCE, config_of()))
    assert "mode collapse: what is generated covers 10% of the real" in found
    assert "--gp-weight 0.4 (now 0.1)" in found and "--lr 0.0005 (now 0.0015)" in found
    assert "r1r2" not in found and "--condition" not in found  # both are in use


BAD_ROWS = {
    "won": [GOOD | {"frechet": 9, "precision": 0.2, "separation": 1.0,
                    "discriminator_loss": 0.001}],
    "collapse": [GOOD | {"frechet": 9, "recall": 0.1}],
    "worse": [GOOD | {"frechet": 4}, GOOD | {"frechet": 9}],
    "improving": [GOOD | {"frechet": 9}, GOOD | {"frechet": 4}],
    "behind": [GOOD | {"frechet": 9}],
    "settled": [GOOD | {"frechet": 4}] * 4,
    "diverged": [GOOD | {"frechet": 9, "generator_loss": 1e9}],
}
RUNS = [list(itertools.chain(*options)) for options in itertools.product(
    [[], ["--gradient-penalty", "none"], ["--gradient-penalty", "wgan-gp"], ["--gp-weight", "1e4"]],
    [[], ["--loss", "hinge", "--lr-d", "1e-3"], ["--loss", "wgan", "--spectral-norm"],
     ["--label-smoothing", "0.2", "--n-critic", "3"]],
    [[], ["--condition", "none", "--augment", "adaptive"], ["--dataset", "ring"],
     ["--base-channels", "1024", "--lr", "1e-12", "--metrics-interval", "2"]],
)]


def learned(config):
    """What decides what is learned and shown, for a comparison."""
    return dataclasses.asdict(config) | {"resume": None}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_every_advice_can_be_followed_and_changes_something(kind):
    for options in RUNS:
        config = config_of(*options)
        for suggestion in verdict_of(rows(*BAD_ROWS[kind]), REFERENCE, config).suggestions:
            advised = list(suggestion.options)
            assert " ".join(advised) in str(suggestion)
            if advised[0] == "--resume":
                resumed, given = TrainConfig.from_arguments(advised)
                after = continued(resumed, dataclasses.asdict(config), given)[0]
                assert after.epochs >= config.epochs
                continue
            before, _ = TrainConfig.from_arguments(options)
            after, _ = TrainConfig.from_arguments([*options, *advised])
            assert learned(after) != learned(before), (options, advised)


def test_some_advice_is_given_for_every_failure_of_a_default_run():
    for kind, measured in BAD_ROWS.items():
        found = verdict_of(rows(*measured), REFERENCE, config_of())
        assert found.kind == kind and re.search(r"Try --[a-z-]+", str(found)), kind


def test_advice_that_would_be_refused_is_not_given():
    no_penalty = str(diverged("the loss is NaN", config_of("--gradient-penalty", "none")))
    assert "--gp-weight" not in no_penalty and "--gradient-penalty r1r2" in no_penalty
    assert not can_be_followed(Suggestion(("--condition", "auto")), config_of("--dataset", "ring"))
    assert not can_be_followed(Suggestion(("--gradient-penalty", "r1r2")), config_of())
    assert can_be_followed(Suggestion(("--condition", "auto")), config_of("--condition", "none"))


def test_the_options_of_a_run_are_recovered_from_its_configuration():
    for options in RUNS:
        config, _ = TrainConfig.from_arguments(options)
        assert TrainConfig.from_arguments(arguments_of(config))[0] == config
    with pytest.raises(UserError):
        TrainConfig.from_arguments(["--gradient-penalty", "none", "--gp-weight", "1"])


def printed_verdict(done):
    return next(line for line in done.stdout.splitlines() if line.startswith("verdict"))


def test_twenty_steps_are_too_early_to_judge(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "too early to judge: step 20 of the 900" in printed_verdict(done)


@pytest.mark.slow
def test_a_discriminator_made_to_win_is_found_out(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 46, "--lr-g", 1e-7,
                      "--lr-d", 0.01, "--gradient-penalty", "none", "--metrics-interval", 0,
                      "--sample-interval", 46, "--checkpoint-interval", 46, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the discriminator has won" in printed_verdict(done)


def test_a_run_made_to_diverge_is_found_out(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 4, "--lr", 1,
                      "--loss", "lsgan", "--gp-weight", 1000, "--arch", "mlp", cwd=tmp_path)
    assert "diverged: the losses are" in printed_verdict(done)
    assert "--lr 0.3" in printed_verdict(done) and "--gp-weight" not in printed_verdict(done)


@pytest.mark.slow
def test_a_run_made_to_collapse_is_found_out(tmp_path):
    done = run_script("train_gan.py", "--dataset", "ring", "--gradient-penalty", "none",
                      "--lr-decay", 0, "--lr", 3e-3, "--epochs", 15, cwd=tmp_path)
    assert "mode collapse: " in printed_verdict(done)


@pytest.mark.slow
def test_a_run_cut_short_is_still_improving(tmp_path):
    done = run_script("train_gan.py", "--dataset", "grid", "--epochs", 6, "--lr-decay", 0,
                      cwd=tmp_path)
    assert "still improving" in printed_verdict(done)
    assert "--resume" in printed_verdict(done)


def test_loss_scale_that_falls_without_end_is_reported(tiny_npz, tensorflow, tmp_path):
    from gan.loop import DivergedError, Loop
    from tests.test_training import build

    trainer = build(tiny_npz, policy="mixed_float16")
    loop = Loop.__new__(Loop)
    loop.state = trainer.state
    measures = np.zeros((3, 7), np.float32)
    measures[1, 5] = np.inf  # an overflow that the scale has answered
    loop._check(measures)
    assert measures[1, 5] == 0
    trainer.state.generator_optimizer.dynamic_scale.assign(2.0**-11)
    with pytest.raises(DivergedError, match="loss scale fell to 0.000488"):
        loop._check(measures)


def test_a_gradient_that_is_no_number_is_named_with_its_step(tiny_npz, tensorflow):
    from gan.loop import DivergedError, Loop
    from tests.test_training import build

    loop = Loop.__new__(Loop)
    loop.state = build(tiny_npz).state
    loop.state.step.assign(30)
    measures = np.zeros((10, 7), np.float32)
    measures[4, 6] = measures[5:] = np.nan
    with pytest.raises(DivergedError, match="generator_gradient became nan at step 25"):
        loop._check(measures)
