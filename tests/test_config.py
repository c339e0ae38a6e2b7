import dataclasses
import json
import sys

import pytest

from gan.common.command_line import flag
from gan.config import FIELDS, RULES, Facts, TrainConfig, architectures, losses
from gan.data.pixels import Background
from gan.losses import LOSSES
from gan.models import ARCHITECTURES
from gan.run.options import EXAMPLES, check_options, make_parser, parse_options, resumed
from tests.conftest import assert_error, complete

MNIST, SMALL_COLOR, PHOTOS = (60_000, 28, 28, 1), (5_000, 32, 32, 3), (5_000, 64, 64, 3)
FEW_PHOTOS = (618, 64, 64, 3)


def size(base_channels, batch_size, epochs):
    return {"base_channels": base_channels, "batch_size": batch_size, "epochs": epochs}


@pytest.mark.parametrize(("arguments", "shape", "expected"), [
    # Images in color or of more than 32 pixels have residual networks.
    ("", MNIST, {"arch": "conv", "upsampling": "plain", "output": "tanh", "augment": "none"}),
    ("", (60_000, 32, 32, 1), {"arch": "conv"}), ("", (60_000, 33, 33, 1), {"arch": "resnet"}),
    ("", (60_000, 28, 28, 3), {"arch": "resnet"}),
    ("", PHOTOS, {"arch": "resnet", "upsampling": "plain", "output": "clip"}),
    ("--spectral-norm", PHOTOS, {"arch": "conv"}), ("--dropout 0.2", PHOTOS, {"arch": "conv"}),
    # A checkerboard would show in them.
    ("--arch conv", PHOTOS, {"upsampling": "filtered"}),
    ("--arch dcgan --output tanh", PHOTOS, {"upsampling": "filtered", "output": "tanh"}),
    ("--arch dcgan --upsampling plain", PHOTOS, {"upsampling": "plain"}),
    ("--arch dcgan", MNIST, {"output": "tanh"}), ("--arch mlp", MNIST, {"output": "tanh"}),
    # Residual networks get the relativistic loss, which takes no label smoothing.
    ("", MNIST, {"loss": "nonsaturating"}), ("", PHOTOS, {"loss": "relativistic"}),
    ("--arch conv", PHOTOS, {"loss": "nonsaturating"}), ("--loss hinge", PHOTOS, {"loss": "hinge"}),
    ("--label-smoothing 0.1", PHOTOS, {"loss": "nonsaturating"}),
    # Networks are as wide, and trained as long, as there is time for.
    ("", MNIST, size(32, 64, 4)), ("", (1_000, 28, 28, 1), size(32, 64, 100)),
    ("", (50, 28, 28, 1), {"batch_size": 50}), ("--arch resnet", MNIST, size(48, 16, 4)),
    ("", (2_000, 64, 64, 3), size(24, 16, 50)), ("", (2_000, 32, 32, 3), size(48, 16, 50)),
    ("", (1_999, 64, 64, 3), size(24, 16, 51)), ("", (1_999, 32, 32, 3), size(24, 16, 51)),
    ("", (2_000, 20, 33, 3), {"base_channels": 24, "image_size": "33x20"}),
    ("--arch conv", PHOTOS, size(32, 64, 20)), ("--base-channels 8", PHOTOS, size(8, 16, 20)),
    ("", (25_000, 64, 64, 3), {"epochs": 4}), ("", (24_999, 64, 64, 3), {"epochs": 5}),
    # A step on a CPU takes few large images.
    ("", (700, 256, 256, 3), size(24, 8, 143)), ("", (700, 512, 512, 3), size(24, 8, 143)),
    ("", (700, 128, 128, 3), size(24, 16, 143)), ("", (5, 512, 512, 3), {"batch_size": 5}),
    # The penalty weighs more for larger images.
    ("", MNIST, {"gp_weight": 0.05}), ("", (60_000, 16, 16, 1), {"gp_weight": 0.05}),
    ("", PHOTOS, {"gp_weight": 0.4 * 64 * 64 * 3 / 784}),
    ("--arch conv", PHOTOS, {"gp_weight": 0.05 * 64 * 64 * 3 / 784}),
    ("--gradient-penalty wgan-gp", MNIST, {"gp_weight": 10}),
    ("", (102_400, 2), {"gp_weight": 0.1}), ("--loss wgan", (102_400, 2), {"gp_weight": 1}),
    ("", MNIST, {"gp_interval": 16}), ("", PHOTOS, {"gp_interval": 8}),
    ("--gradient-penalty wgan-gp", MNIST, {"gp_interval": 8}),
    # Small images need no wide layers.
    ("", MNIST, {"max_channels": 48}), ("--base-channels 16", MNIST, {"max_channels": 24}),
    ("--arch dcgan", MNIST, {"max_channels": 0}), ("--arch conv", PHOTOS, {"max_channels": 0}),
    ("", MNIST, {"blocks": 1}), ("", PHOTOS, {"blocks": 6}), ("--blocks 2", PHOTOS, {"blocks": 2}),
    # The average of residual networks is shorter.
    ("", MNIST, {"ema": 0.13}), ("", PHOTOS, {"ema": 0.03}), ("--ema 0", PHOTOS, {"ema": 0}),
    ("", MNIST, {"detail_weight": 0}), ("", PHOTOS, {"detail_weight": 4}),
    ("--detail-weight 0", PHOTOS, {"detail_weight": 0}),
    # Few images are augmented.
    ("", (19_999, 28, 28, 1), {"augment": "adaptive"}),
    ("", (20_000, 28, 28, 1), {"augment": "none"}),
    # A sample grid of large images has fewer.
    ("", (100, 256, 200, 3), {"num_samples": 100}), ("", (100, 20, 512, 3), {"num_samples": 25}),
    # Half of the latents are coordinates at most.
    ("", MNIST, {"components": 12}), ("", PHOTOS, {"components": 16}),
    ("--latent-dim 30", PHOTOS, {"components": 15}),
    ("--components 20", PHOTOS, {"components": 20, "latent_dim": 40}),
    ("--latent-dim 1", MNIST, {"components": 0}), ("--condition none", MNIST, {"components": 0}),
    # Pictures have more clusters and shorter latents.
    ("", MNIST, {"latent_dim": 64, "clusters": 256}),
    ("", PHOTOS, {"latent_dim": 32, "clusters": 512}),
    ("--arch conv", PHOTOS, {"latent_dim": 32, "clusters": 512}),
    ("", (618, 64, 64, 3), {"clusters": 77, "components": 2}),
    # Many epochs have a checkpoint every few.
    ("--epochs 40", MNIST, {"checkpoint_interval": 1, "sample_interval": 1}),
    ("--epochs 41", MNIST, {"checkpoint_interval": 2, "sample_interval": 2}),
    ("--epochs 162", MNIST, {"checkpoint_interval": 5}),
    # Points have defaults of their own, which give way.
    ("", (2_000, 2), size(16, 256, 1_536)), ("", (100, 1), {"batch_size": 100, "gp_interval": 4}),
    ("--gradient-penalty wgan-gp", (2_000, 2), {"gp_interval": 1, "gp_weight": 10.0}),
    ("--dataset ring", (102_400, 2), {
        "arch": "mlp", "gp_weight": 0.1, "augment": "none", "output": "auto", "components": 0,
        "detail_weight": 0, **size(16, 256, 30)}),
    # What is given stays.
    ("--epochs 9 --checkpoint-interval 7 --gp-weight 0.5 --augment none --components 20", PHOTOS, {
        "epochs": 9, "checkpoint_interval": 7, "gp_weight": 0.5, "augment": "none",
        "components": 20})])
def test_defaults_follow_the_data(arguments, shape, expected):
    config = complete(parse_options(arguments.split())[0], shape)
    assert {name: getattr(config, name) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "expected"), [
    (PHOTOS, size(32, 32, 40)), (FEW_PHOTOS, size(32, 32, 324)), (SMALL_COLOR, size(64, 32, 40)),
    (MNIST, size(32, 64, 4)), ((700, 256, 256, 3), size(32, 32, 286))])
def test_residual_networks_on_a_gpu_are_wider_and_trained_longer(shape, expected):
    config = complete(TrainConfig(), shape, gpu=True)
    assert size(config.base_channels, config.batch_size, config.epochs) == expected


@pytest.mark.parametrize(("options", "shape", "gray", "contrast", "output"), [
    ({}, MNIST, 0, 70, "smooth"), ({}, PHOTOS, 0, 70, "smooth"), ({}, PHOTOS, 0, 2, "smooth"),
    ({"arch": "dcgan"}, MNIST, 0, 70, "tanh"), ({"output": "clip"}, MNIST, 0, 70, "clip"),
    # White is brought within reach on dark ground only.
    ({}, MNIST, 0, 2, "bright"), ({}, MNIST, 127, 2, "bright"), ({}, MNIST, 255, 2, "tanh")])
def test_the_output_follows_the_background(options, shape, gray, contrast, output):
    background = Background((gray,) * shape[-1], contrast)
    assert complete(TrainConfig(**options), shape, background).output == output


def test_help_shows_the_defaults_that_runs_have(monkeypatch):
    """Whatever is changed in `RULES` or in a field is what `--help` says."""
    for expected in ("64; 5,000 photos: 16; points: 256", "48"):
        text = " ".join(make_parser().format_help().split())
        assert f"real images per step (default: {expected})" in text
        monkeypatch.setitem(RULES, "batch_size", lambda config, facts: 48)


def test_the_example_of_the_help_is_mnist(mnist):
    found = TrainConfig().for_data(mnist)
    assert found == TrainConfig().completed(EXAMPLES["mnist"])


@pytest.mark.parametrize("arguments", [
    [], ["--dataset", "ring"], ["--gradient-penalty", "none"], ["--condition", "none"],
    ["--spectral-norm"], ["--arch", "mlp"]])
def test_a_complete_configuration_leaves_nothing_open(arguments):
    config, _ = parse_options(arguments)
    points = config.dataset == "ring"
    shape = (102_400, 2) if points else (5_000, 48, 64, 3)
    config = config.completed(Facts(shape, policy="mixed_bfloat16"))
    open_ = {name for name, value in vars(config).items() if value in (None, "auto")}
    assert open_ <= ({"image_size", "channels", "output"} if points else set())
    assert config.policy == "mixed_bfloat16"  # the device's
    assert config.image_size == (None if points else "64x48")
    assert config.completed(Facts(shape)) == config  # once and for all
    assert check_options(dataclasses.asdict(config)) == dataclasses.asdict(config)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--latent-dim", "64", "--components", "33"],
     "at most half of --latent-dim, which is 64, got: 33"),
    (["--clusters", "126"], "--clusters: expected at most 125, one for each 8 images, got: 126"),
    (["--components", "5"], "--components: expected at most 4, one for each 250 images, got: 5"),
    (["--condition", "labels"], "--condition: expected clusters or none, as mnist has no labels"),
    (["--blocks", "3"], "--blocks needs --arch resnet, got: --arch conv"),
    (["--batch-size", "1001"], "--batch-size: expected at most 1000, the number of training"),
    (["--batch-size", "9", "--devices", "2"], "expected a multiple of 2, the number of")])
def test_options_that_the_data_are_too_few_for_are_refused(arguments, message):
    assert_error(message, complete, parse_options(arguments)[0], (1_000, 28, 28, 1))


def test_the_names_of_a_registry_are_read_from_its_source(monkeypatch):
    for module in ("gan.losses", "gan.models"):
        monkeypatch.delitem(sys.modules, module)
    assert (losses(), architectures()) == (tuple(LOSSES), tuple(ARCHITECTURES))


def test_a_run_of_an_earlier_version_is_resumed_as_it_was_begun():
    for shape in (PHOTOS, MNIST):
        saved = dataclasses.asdict(complete(TrainConfig(), shape))
        del saved["detail_weight"], saved["max_channels"], saved["blocks"]
        config, changes = resumed(TrainConfig(resume=True), {"resume"}, saved)
        assert (config.detail_weight, config.max_channels, config.blocks) == (0, 0, 1)
        assert changes == {}


@pytest.mark.parametrize("name", sorted({"seed"} | {
    name for name, field in FIELDS.items() if field.metadata["fixed"]}))
def test_what_a_run_keeps_for_life_is_refused_when_it_is_resumed(name):
    saved = dataclasses.asdict(complete(TrainConfig(), MNIST))
    other = {str: "other", bool: True, int: 7, float: 0.125}[type(saved[name])]
    config = TrainConfig(**{name: other, "resume": True})
    assert_error(f"{flag(name)}: the run to resume has {saved[name]}, got",
                 resumed, config, {name, "resume"}, saved)


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 400, "1e999", "nan", "0x10", ""])
def test_numbers_of_any_length_end_in_one_short_line(text):
    for name in (field.name for field in FIELDS.values() if field.type in (int, float)):
        assert_error(f"^{flag(name)}: expected.{{,120}}$", parse_options, [f"{flag(name)}={text}"])


def test_the_options_of_a_run_make_the_same_run_again(tmp_path):
    shape = (5_000, 64, 64, 3)
    begun = complete(parse_options(
        ["--lr", "1e-3", "--lr-d", "2e-3", "--outdir", "a", "--max-minutes", "9",
         "--minutes", "8"])[0], shape)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(begun) | {"changes": [{"step": 3}]}))
    config, given = parse_options(["--config", str(path)])
    assert given == set() and (config.outdir, config.max_minutes) == (".", 0)
    assert complete(config, shape) == dataclasses.replace(
        begun, outdir=".", max_minutes=0.0, minutes=0.0)
    # Options given beside it win.
    assert parse_options(["--config", str(path), "--minutes", "5"])[0].epochs is None
    config, _ = parse_options(["--config", str(path), "--lr", "5e-4", "--clusters", "7"])
    config = complete(config, shape)
    assert (config.lr, config.lr_g, config.lr_d, config.clusters) == (5e-4, 5e-4, 5e-4, 7)
    config = complete(parse_options(["--config", str(path), "--condition", "none"])[0], shape)
    assert (config.clusters, config.components) == (0, 0)


@pytest.mark.parametrize(("text", "message"), [
    ('{"epoch": 3}', "epoch: expected an option of train_gan.py"),
    ('{"epochs": 0}', "epochs: expected a whole number from 1"), ("[]", "the options of a run"),
    ("{", "the options of a run"), (None, "no such file")])
def test_damaged_options_of_a_run_are_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    if text:
        path.write_text(text)
    assert_error(f"(?i){message}", parse_options, ["--config", str(path)])
