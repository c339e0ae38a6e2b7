import pytest

from gan.config import TrainConfig
from gan.option_rules import complete_for


@pytest.mark.parametrize(("arguments", "shape", "weight"), [
    ([], (28, 28, 1), 0.1), ([], (16, 16, 1), 0.1), ([], (64, 64, 3), 0.1 * 64 * 64 * 3 / 784),
    (["--dataset", "ring"], (2,), 0.1), (["--gradient-penalty", "wgan-gp"], (28, 28, 1), 10),
    (["--gp-weight", "0.5"], (64, 64, 3), 0.5),
])
def test_the_penalty_weighs_more_for_larger_images(arguments, shape, weight):
    config, _ = TrainConfig.from_arguments(arguments)
    assert complete_for(config, (60_000, *shape), "none").gp_weight == pytest.approx(weight)


@pytest.mark.parametrize(("arguments", "shape", "augment"), [
    ([], (19_999, 28, 28, 1), "adaptive"), ([], (20_000, 28, 28, 1), "none"),
    (["--augment", "none"], (500, 64, 64, 3), "none"),
    (["--augment", "adaptive"], (60_000, 64, 64, 3), "adaptive"),
    (["--dataset", "ring"], (500, 2), "none"),
])
def test_few_images_are_augmented(arguments, shape, augment):
    config, _ = TrainConfig.from_arguments(arguments)
    assert complete_for(config, shape, "none").augment == augment


def test_points_have_defaults_of_their_own_that_give_way():
    config, given = TrainConfig.from_arguments(["--dataset", "ring", "--epochs", "3"])
    assert config.arch == "mlp" and config.epochs == 3 and given == {"dataset", "epochs"}
    assert TrainConfig.from_arguments([])[0].arch == "conv"
