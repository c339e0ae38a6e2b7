import dataclasses
import itertools
import re

import pytest

from gan.config import TrainConfig
from gan.run.verdict import HINTS, verdict_of
from tests.conftest import TINY, complete, run_script

REFERENCE = {"frechet": 1.0, "precision": 0.9, "recall": 0.8, "classes": 10}
GOOD = {"frechet": 1.5, "precision": 0.88, "recall": 0.78, "classes": 10,
        "discriminator_accuracy": 0.6, "discriminator_loss": 1.3, "generator_loss": 0.8}
POINT_REFERENCE = {"modes": 8, "good": 0.99}


def rows(*measured):
    return [{"epoch": number, "step": 1000 * number} | row
            for number, row in enumerate(measured, 1)]


def config_of(*options, shape=(28, 28, 1)):
    """The configuration as a run ends with it."""
    config = TrainConfig.from_args(list(options))[0]
    return complete(config, (60_000, *shape))


@pytest.mark.parametrize(("measured", "kind"), [
    ([GOOD], "good"),
    ([GOOD | {"discriminator_accuracy": 0.99}], "good"),  # what counts is what is generated
    ([GOOD | {"frechet": 9, "precision": 0.2, "discriminator_accuracy": 0.99,
              "discriminator_loss": 0.1}], "won"),
    # It ranks well but is not sure of it: there is a slope to learn from.
    ([GOOD | {"frechet": 9, "precision": 0.2, "discriminator_accuracy": 0.99}], "behind"),
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
    ([(8, 0.97)], "good"), ([(2, 0.9)], "collapse"), ([(0, 0.02)], "outside"),
    ([(3, 0.2), (8, 0.6)], "improving"), ([(8, 0.85), (8, 0.5)], "worse"),
    ([(0, 0.0), (0, 0.04)], "outside"), ([(3, 0.4)], "behind"), ([(1, 0.04)], "outside"),
])
def test_verdicts_on_points_follow_their_modes(measured, kind):
    measured = [GOOD | {"modes": modes, "good": good} for modes, good in measured]
    for row in measured:
        del row["frechet"]
    config = config_of("--dataset", "ring", "--loss", "hinge", shape=(2,))
    assert verdict_of(rows(*measured), POINT_REFERENCE, config).kind == kind


def test_nothing_but_good_and_diverged_is_said_of_the_first_steps():
    collapsed = {"epoch": 2, "step": 20} | GOOD | {"frechet": 9, "recall": 0.0}
    found = verdict_of([collapsed], REFERENCE, config_of("--epochs", "2"))
    assert found.kind == "early"
    assert str(found) == ("too early to judge: step 20 of at least 900. "
                          "Try --resume with more --epochs")
    assert verdict_of([collapsed | GOOD], REFERENCE, config_of()).kind == "good"


@pytest.mark.parametrize(("measured", "reason"), [
    ({"recall": 0.8 * 0.62}, "yet: recall is 62% of real images' (too early for a trend: 1 mea"),
    ({"precision": 0.45}, "yet: precision is 50% of real images' ("),
    ({"frechet": 4.2}, "yet: the Fréchet distance is 4.2 times that of real images ("),
    ({"frechet": 4.2, "recall": 0.4, "precision": 0.45}, "yet: the Fréchet distance is 4.2 times "
     "that of real images, precision is 50% of real images' and recall is 50% of real images' ("),
])
def test_the_verdict_names_the_metrics_that_fall_short(measured, reason):
    assert reason in verdict_of(rows(GOOD | measured), REFERENCE, config_of()).finding


def test_distances_are_compared_as_they_were_measured_with_equal_numbers():
    row = GOOD | {"frechet": 1.5, "frechet_ratio": 3.5}  # fewer real images come out farther away
    found = verdict_of(rows(row), REFERENCE, config_of())
    assert "the Fréchet distance is 3.5 times" in found.finding


def test_numbers_agree_with_their_nouns():
    found = verdict_of(rows(*[GOOD | {"frechet": 4}] * 2), REFERENCE, config_of())
    assert found.finding.endswith("(too early for a trend: 2 measurements of 4)")
    point = {name: value for name, value in GOOD.items() if name != "frechet"}
    found = verdict_of(rows(point | {"modes": 1, "good": 0.9}), POINT_REFERENCE, config_of())
    assert found.finding == "mode collapse: the generator covers 1 of 8 modes"


def test_without_test_images_nothing_is_called_good_or_bad_by_their_measure():
    measured = {name: value for name, value in GOOD.items() if name != "classes"}
    found = verdict_of(rows(measured), {}, config_of("--loss", "hinge"))
    assert found.kind == "behind" and "too early for a trend" in str(found)


def test_metrics_that_were_left_out_are_not_needed():
    measured = {name: value for name, value in GOOD.items() if name not in ("precision", "recall")}
    assert verdict_of(rows(measured), {"frechet": 0.0}, config_of()).kind == "behind"


def test_a_critic_that_ranks_everything_has_not_won():
    row = GOOD | {"frechet": 9, "precision": 0.2, "discriminator_accuracy": 1.0,
                  "discriminator_loss": -7.0}
    assert verdict_of(rows(row), REFERENCE, config_of("--loss", "wgan")).kind == "behind"


def test_a_generator_beside_the_data_is_found_out():
    point = {name: value for name, value in GOOD.items() if name != "frechet"}
    found = verdict_of(rows(point | {"modes": 0, "good": 0.0}), POINT_REFERENCE,
                       config_of("--dataset", "ring", "--loss", "wgan", shape=(2,)))
    assert found.finding == ("nothing generated lies in the data: 0 of 8 modes and 0% good points "
                             "(real 99%)")
    assert "--loss" in found.hint
    found = verdict_of(rows(GOOD | {"frechet": 99, "precision": 0.01, "recall": 0.0}), REFERENCE,
                       config_of())
    assert found.finding.startswith("almost nothing generated lies in the data: the Fréchet")
    assert "precision is 1% of real images'" in found.finding


BAD_ROWS = {
    "early": [GOOD | {"frechet": 9, "step": 20}],
    "won": [GOOD | {"frechet": 9, "precision": 0.2, "discriminator_accuracy": 1.0,
                    "discriminator_loss": 0.001}],
    "collapse": [GOOD | {"frechet": 9, "recall": 0.1}],
    "outside": [GOOD | {"frechet": 9, "precision": 0.0}],
    "worse": [GOOD | {"frechet": 4}, GOOD | {"frechet": 9}],
    "improving": [GOOD | {"frechet": 9}, GOOD | {"frechet": 4}],
    "behind": [GOOD | {"frechet": 9}],
    "settled": [GOOD | {"frechet": 4}] * 4,
    "diverged": [GOOD | {"frechet": 9, "generator_loss": 1e9}],
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_every_failure_comes_with_a_hint(kind):
    done = config_of("--epochs", str(len(BAD_ROWS[kind])))
    found = verdict_of(rows(*BAD_ROWS[kind]), REFERENCE, done)
    assert found.kind == kind
    assert str(found) == f"{found.finding}. Try {HINTS[kind]}"
    options = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(TrainConfig)}
    assert set(re.findall(r"--[a-z-]+", HINTS[kind])) <= options


@pytest.mark.parametrize("kind", sorted(set(BAD_ROWS) - {"diverged"}))
def test_a_run_that_was_cut_short_is_told_to_resume(kind):
    """As the last line of its output does."""
    found = verdict_of(rows(*BAD_ROWS[kind]), REFERENCE, config_of("--epochs", "9"))
    assert found.kind == kind and found.hint.startswith("--resume")
    assert (found.hint == "--resume") == (kind in ("early", "improving", "behind", "settled"))


def printed_verdict(done):
    """The verdict in one line, however it was wrapped."""
    lines = done.stdout.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("verdict"))
    rest = itertools.takewhile(lambda line: line.startswith(" "), lines[start + 1 :])
    return " ".join(" ".join([lines[start], *rest]).split())


def test_twenty_steps_are_too_early_to_judge(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "too early to judge: step 20 of at least 900" in printed_verdict(done)


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
    assert printed_verdict(done).endswith(". Try a lower learning rate (--lr)")


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
