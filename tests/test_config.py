import dataclasses
import subprocess
import sys

import pytest

from gan.common.command_line import flag
from gan.common.errors import UserError
from gan.config import EXAMPLES, RULES, Facts, TrainConfig, check_saved, make_parser
from gan.data.background import Background
from tests.conftest import ROOT, complete


@pytest.mark.parametrize(("arguments", "shape", "weight"), [
    ([], (28, 28, 1), 0.1), ([], (16, 16, 1), 0.1), ([], (64, 64, 3), 0.4 * 64 * 64 * 3 / 784),
    (["--arch", "conv"], (64, 64, 3), 0.1 * 64 * 64 * 3 / 784),
    (["--dataset", "ring"], (2,), 0.1), (["--gradient-penalty", "wgan-gp"], (28, 28, 1), 10),
    (["--gp-weight", "0.5"], (64, 64, 3), 0.5),
])
def test_the_penalty_weighs_more_for_larger_images(arguments, shape, weight):
    config, _ = TrainConfig.from_args(arguments)
    assert complete(config, (60_000, *shape)).gp_weight == pytest.approx(weight)


@pytest.mark.parametrize(("arguments", "shape", "augment"), [
    ([], (19_999, 28, 28, 1), "adaptive"), ([], (20_000, 28, 28, 1), "none"),
    (["--augment", "none"], (500, 64, 64, 3), "none"),
    (["--augment", "adaptive"], (60_000, 64, 64, 3), "adaptive"),
    (["--dataset", "ring"], (500, 2), "none"),
])
def test_few_images_are_augmented(arguments, shape, augment):
    config, _ = TrainConfig.from_args(arguments)
    assert complete(config, shape).augment == augment


def test_points_have_defaults_of_their_own_that_give_way():
    config, given = TrainConfig.from_args(["--dataset", "ring", "--epochs", "3"])
    assert config.arch == "mlp" and config.epochs == 3 and given == {"dataset", "epochs"}
    assert TrainConfig.from_args([])[0].arch == "auto"


@pytest.mark.parametrize(("shape", "arch", "upsampling"), [
    ((28, 28, 1), "conv", "plain"), ((32, 32, 1), "conv", "plain"),
    ((33, 33, 1), "resnet", "plain"), ((28, 28, 3), "resnet", "plain"),
    ((256, 256, 3), "resnet", "plain")])
def test_pictures_have_residual_networks(shape, arch, upsampling):
    config = complete(TrainConfig.from_args([])[0], (60_000, *shape))
    assert (config.arch, config.upsampling) == (arch, upsampling)


@pytest.mark.parametrize(("images", "size", "expected"), [
    (60_000, 28, 64), (1_000, 28, 64), (50, 28, 50),
    (60_000, 64, 16), (2_000, 64, 16), (1_999, 64, 32), (20, 64, 20)])
def test_batches_depend_on_networks_and_data(images, size, expected):
    config = TrainConfig.from_args([])[0]
    channels = 1 if size == 28 else 3
    shape = (images, size, size, channels)
    assert complete(config, shape).batch_size == expected


def test_a_bounded_discriminator_has_no_residual_blocks():
    for arguments in (["--spectral-norm"], ["--dropout", "0.2"]):
        config, _ = TrainConfig.from_args(arguments)
        assert complete(config, (60_000, 64, 64, 3)).arch == "conv"


@pytest.mark.parametrize(("arguments", "shape", "upsampling"), [
    ([], (64, 64, 3), "filtered"), ([], (28, 28, 1), "plain"),
    (["--upsampling", "filtered"], (28, 28, 1), "filtered"),
    (["--upsampling", "plain"], (64, 64, 3), "plain")])
def test_doublings_are_filtered_where_a_checkerboard_would_show(arguments, shape, upsampling):
    for arch in ("conv", "dcgan"):
        config, _ = TrainConfig.from_args(["--arch", arch, *arguments])
        assert complete(config, (60_000, *shape)).upsampling == upsampling


@pytest.mark.parametrize(("images", "arguments", "epochs"), [
    (60_000, [], 3), (33_334, [], 3), (33_333, [], 4), (621, [], 162), (621, ["--epochs", "3"], 3)])
def test_few_images_are_shown_more_often(images, arguments, epochs):
    config, _ = TrainConfig.from_args(arguments)
    assert complete(config, (images, 64, 64, 3)).epochs == epochs


@pytest.mark.parametrize(("arguments", "shape", "output"), [
    ([], (28, 28, 1), "tanh"), ([], (64, 64, 3), "clip"),
    (["--output", "tanh"], (28, 28, 1), "tanh"),
    (["--arch", "dcgan"], (28, 28, 1), "tanh"), (["--arch", "mlp"], (28, 28, 1), "tanh"),
    (["--dataset", "ring"], (2,), "auto")])
def test_the_output_follows_the_architecture(arguments, shape, output):
    config, _ = TrainConfig.from_args(arguments)
    assert complete(config, (60_000, *shape)).output == output


@pytest.mark.parametrize(("arguments", "shape", "contrast", "output"), [
    ([], (28, 28, 1), 70, "smooth"), ([], (28, 28, 1), 2, "bright"),
    ([], (64, 64, 3), 70, "smooth"), ([], (64, 64, 3), 2, "smooth"),
    (["--arch", "dcgan"], (28, 28, 1), 70, "tanh"),
    (["--output", "clip"], (28, 28, 1), 70, "clip")])
def test_an_even_background_is_drawn_smoothly(arguments, shape, contrast, output):
    config, _ = TrainConfig.from_args(arguments)
    background = Background((0,) * shape[2], contrast)
    assert complete(config, (60_000, *shape), background).output == output


@pytest.mark.parametrize(("arguments", "images", "shape", "channels"), [
    ([], 60_000, (28, 28, 1), 32), ([], 2_000, (64, 64, 3), 24), ([], 1_999, (64, 64, 3), 32),
    ([], 2_000, (32, 32, 3), 48), ([], 2_000, (33, 33, 3), 24), ([], 1_999, (32, 32, 3), 32),
    (["--arch", "resnet"], 60_000, (28, 28, 1), 48),
    (["--arch", "conv"], 2_000, (64, 64, 3), 32), (["--base-channels", "8"], 2_000, (64, 64, 3), 8),
    (["--dataset", "ring"], 2_000, (2,), 16)])
def test_residual_networks_are_as_wide_as_there_is_time_for(arguments, images, shape, channels):
    config, _ = TrainConfig.from_args(arguments)
    assert complete(config, (images, *shape)).base_channels == channels


@pytest.mark.parametrize(("arguments", "shape", "expected"), [
    ([], (3_840, 64, 64, 3), (32, 32, 53)), ([], (618, 64, 64, 3), (32, 32, 324)),
    ([], (3_840, 32, 32, 3), (64, 32, 53)), ([], (618, 32, 32, 3), (32, 32, 324)),
    (["--epochs", "9", "--batch-size", "8", "--base-channels", "16"], (3_840, 64, 64, 3),
     (16, 8, 9)),
    ([], (60_000, 28, 28, 1), (32, 64, 3))])
def test_residual_networks_on_a_gpu_are_wider_and_trained_longer(arguments, shape, expected):
    config, _ = TrainConfig.from_args(arguments)
    config = complete(config, shape, gpu=True)
    assert (config.base_channels, config.batch_size, config.epochs) == expected


@pytest.mark.parametrize(("grey", "output"), [(0, "bright"), (127, "bright"), (255, "tanh")])
def test_white_is_brought_within_reach_on_dark_ground_only(grey, output):
    config, _ = TrainConfig.from_args([])
    background = Background((grey,), 2)
    assert complete(config, (60_000, 28, 28, 1), background).output == output


@pytest.mark.parametrize(("arguments", "shape", "components"), [
    ([], (28, 28, 1), 8), ([], (64, 64, 3), 16), (["--latent-dim", "30"], (64, 64, 3), 15),
    (["--latent-dim", "6"], (28, 28, 1), 3), (["--latent-dim", "1"], (28, 28, 1), 0),
    (["--components", "32"], (28, 28, 1), 32), (["--components", "0"], (28, 28, 1), 0),
    (["--condition", "none"], (28, 28, 1), 0), (["--dataset", "ring"], (2,), 0)])
def test_half_of_the_latents_are_components_at_most(arguments, shape, components):
    assert complete(TrainConfig.from_args(arguments)[0], (60_000, *shape)).components == components


def test_more_components_than_that_are_refused():
    with pytest.raises(UserError, match="at most half of --latent-dim, which is 64, got: 33"):
        TrainConfig.from_args(["--components", "33"])


@pytest.mark.parametrize(("epochs", "interval"), [(5, 1), (40, 1), (41, 2), (162, 5)])
def test_many_epochs_have_a_checkpoint_every_few(epochs, interval):
    config, _ = TrainConfig.from_args(["--epochs", str(epochs)])
    assert complete(config, (60_000, 28, 28, 1)).checkpoint_interval == interval
    config, _ = TrainConfig.from_args(["--epochs", "99", "--checkpoint-interval", "7"])
    assert complete(config, (60_000, 28, 28, 1)).checkpoint_interval == 7


def help_of(monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    return make_parser().format_help()


@pytest.mark.parametrize("columns", [80, 120])
def test_help_obeys_the_width_of_the_terminal(monkeypatch, columns):
    longest = max(map(len, help_of(monkeypatch, columns).splitlines()))
    assert columns - 20 < longest <= columns


def test_the_help_of_an_option_has_twelve_words_at_most():
    for field in dataclasses.fields(TrainConfig):
        assert 1 <= len(field.metadata["help"].split()) <= 12, field.name
        assert "default" not in field.metadata["help"].replace("by default", ""), field.name


def test_help_shows_the_defaults_that_runs_have(monkeypatch):
    """Whatever is changed in `RULES` or in a field is what `--help` says."""
    text = " ".join(help_of(monkeypatch).split())
    assert "real images per step (default: 64; 5,000 photos: 16; points: 256)" in text
    monkeypatch.setitem(RULES, "batch_size", lambda config, facts: 48)
    text = " ".join(help_of(monkeypatch).split())
    assert "real images per step (default: 48; points: 256)" in text


def test_the_example_of_the_help_is_mnist():
    from gan.data.datasets import load_dataset

    found = TrainConfig().for_data(load_dataset("mnist"))
    assert found == TrainConfig().completed(EXAMPLES["mnist"])


@pytest.mark.parametrize("arguments", [
    [], ["--dataset", "ring"], ["--gradient-penalty", "none"], ["--condition", "none"],
    ["--spectral-norm"], ["--arch", "mlp"]])
def test_a_complete_configuration_leaves_nothing_open(arguments):
    config, _ = TrainConfig.from_args(arguments)
    shape = (102_400, 2) if config.simulated else (5_000, 64, 64, 3)
    config = complete(config, shape)
    open_ = {name for name, value in vars(config).items() if value in (None, "auto")}
    assert open_ <= ({"image_size", "channels", "output"} if config.simulated else set())
    assert config.completed(Facts(shape)) == config  # once and for all
    assert check_saved(dataclasses.asdict(config)) == dataclasses.asdict(config)


def test_the_policy_is_kerass_name_of_the_precision():
    shape = (60_000, 28, 28, 1)
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        config = TrainConfig().completed(Facts(shape, policy=policy))
        assert config.policy == policy and config.mixed_precision != "auto"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--clusters", "63"], "--clusters: expected at most 62, one for each 16 images, got: 63"),
    (["--components", "5"], "--components: expected at most 4, one for each 250 images, got: 5"),
    (["--condition", "labels"], "--condition: expected clusters or none, as mnist has no labels"),
    (["--batch-size", "1001"], "--batch-size: expected at most 1000, the number of training"),
    (["--batch-size", "9", "--devices", "2"], "expected a multiple of 2, the number of")])
def test_options_that_the_data_are_too_few_for_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        complete(TrainConfig.from_args(arguments)[0], (1_000, 28, 28, 1))


def test_the_names_of_a_registry_are_read_from_its_source(tensorflow):
    code = """
import sys
from gan.config import architectures, losses
found = losses(), architectures()
assert "tensorflow" not in sys.modules
import gan.losses, gan.models
assert found == (losses(), architectures()), found
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_is_registered_may_be_chosen(tensorflow, monkeypatch):
    from gan.losses import LOSSES

    with pytest.raises(UserError, match="--loss: expected one of nonsaturating, .*, got: 'mine'"):
        TrainConfig.from_args(["--loss", "mine"])
    monkeypatch.setitem(LOSSES, "mine", LOSSES["hinge"])
    assert TrainConfig.from_args(["--loss", "mine"])[0].loss == "mine"


@pytest.mark.parametrize("name", [
    field.name for field in dataclasses.fields(TrainConfig) if field.metadata["fixed"]])
def test_what_a_run_keeps_for_life_is_refused_when_it_is_resumed(name):
    saved = dataclasses.asdict(complete(TrainConfig(), (60_000, 28, 28, 1)))
    other = {str: "other", bool: True, int: 7, float: 0.125}[type(saved[name])]
    config = TrainConfig(**{name: other, "resume": True})
    with pytest.raises(UserError, match=f"{flag(name)}: the run to resume has"):
        config.resumed(saved, {name, "resume"})


def test_another_seed_is_refused_when_a_run_is_resumed():
    saved = dataclasses.asdict(complete(TrainConfig(), (60_000, 28, 28, 1)))
    config, given = TrainConfig.from_args(["--resume", "--seed", "1"])
    with pytest.raises(UserError, match="--seed: the run to resume has 0, got: 1"):
        config.resumed(saved, given)


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 400, "1e999", "nan", "0x10", "", "٣٣"])
def test_numbers_of_any_length_end_in_one_short_line(text):
    for field in dataclasses.fields(TrainConfig):
        if field.type not in (int, float):
            continue
        try:
            TrainConfig.from_args([f"{flag(field.name)}={text}"])
        except UserError as error:
            assert str(error).startswith(f"{flag(field.name)}: expected") and len(str(error)) < 150
        else:
            assert text == "٣٣"  # digits all the same
