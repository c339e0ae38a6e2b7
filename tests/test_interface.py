"""What Python code and notebooks use: gan.train, gan.load and what they return."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from keras import Input, Sequential, layers

import gan
from gan.drawing.images import tile
from gan.losses import LOSSES
from gan.models import ARCHITECTURES
from gan.report import __main__ as report
from tests.conftest import QUICK, ROOT, TINY, assert_error, draw_shapes

OPTIONS = {"base_channels": 4, "batch_size": 16, "num_samples": 9, "mixed_precision": "off",
           "augment": "none", "clusters": 1, "epochs": 1, "metrics_interval": 0}
IMAGES, LABELS = draw_shapes(320, 0)


@pytest.fixture(scope="module")
def run(tiny_npz, tmp_path_factory):
    return gan.train(tiny_npz, outdir=tmp_path_factory.mktemp("run"), latent_dim=8,
                     **OPTIONS | {"augment": "adaptive", "clusters": 2, "epochs": 2})


def test_a_run_is_what_its_folder_holds_with_the_bits_of_the_command(run, tiny_run, saved):
    assert run.history["epoch"] == [1, 2] and run.history["step"] == [20, 40]
    assert run.history["discriminator_loss"][0] > 0
    assert {"frechet", "precision"} <= run.metrics.keys()
    assert run.verdict.startswith("too early to judge") and run.verdict in repr(run)
    assert run.config["latent_dim"] == 8 and None not in run.config.values()
    again, exported = gan.load(run.folder), gan.load(run.folder / "exported_model")
    assert again.metrics == exported.metrics == run.metrics
    np.testing.assert_array_equal(again.generator.sample(range(3)),
                                  exported.generator.sample([0, 1, 2]))
    np.testing.assert_array_equal(again.generator.sample([4, 5], label="1"),
                                  again.generator.sample([4, 5], [1, 1]))
    assert_error("label: expected a class of the generator .0, 1., g",
                 again.generator.sample, [0], label="7")
    assert_error("expected the folder of a run", gan.load, run.folder / "generated_images")
    images = again.generator.sample(range(10), [0] * 5 + [1] * 5)  # a class a row
    np.testing.assert_array_equal(run.show(rows=2, columns=5).axes[0].images[0].get_array(),
                                  tile(images, 5)[..., 0])
    name = "generated_images/epoch_0002.png"
    assert (tiny_run / name).read_bytes() == (run.folder / name).read_bytes()
    np.testing.assert_array_equal(saved.sample(range(8)), run.generator.sample(range(8)))


def own_models(latents=8, logits=1):
    generator = Sequential([Input((latents,)), layers.Dense(256, activation="tanh"),
                            layers.Reshape((16, 16, 1))])
    discriminator = Sequential([Input((16, 16, 1)), layers.Flatten(),
                                layers.Dense(16, activation="relu"), layers.Dense(logits)])
    return {"generator": generator, "discriminator": discriminator}


def test_models_of_ones_own_train_resume_and_export(tmp_path):
    models = own_models(13, 6)  # a shared entry, two labels, two clusters and a coordinate
    before = models["generator"].get_weights()
    settings = {"outdir": tmp_path, "labels": LABELS, **models}
    first = gan.train(IMAGES, **settings, **OPTIONS, latent_dim=8)
    assert first.config["arch"] == "own"
    np.testing.assert_equal(models["generator"].get_weights(), before)  # a copy was trained
    before = first.generator.sample(range(4))
    assert before.shape == (4, 16, 16, 1)
    second = gan.train(IMAGES, **settings, resume=True, epochs=2)
    assert second.history["epoch"] == [1, 2]
    assert (second.generator.sample(range(4)) != before).any()


def test_a_range_of_values_is_that_of_the_array(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("gan.runner.run", lambda *settings: seen.append(settings[-1]) or 130)
    with pytest.raises(KeyboardInterrupt):
        gan.train(2 * IMAGES.astype(np.int16) - 9, range="-9,501", transpose=True, outdir=tmp_path)
    np.testing.assert_array_equal(seen[0].images[..., 0], IMAGES.transpose(0, 2, 1))


def test_a_dry_run_leaves_nothing(tmp_path):
    assert gan.train(IMAGES, outdir=tmp_path / "run", dry_run=True, **OPTIONS) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("settings", "message"), [
    ({"epoch": 3}, "epoch: expected an option of train_gan.py"),
    ({"mirror": 1}, "mirror: expected also learn the mirror image of every picture, got: 1"),
    ({"labels": [0, 1, 0]}, "labels: expected one for each of 320 images"),
    ({"image_size": 32}, "image_size: expected the name of pictures with it, got an array"),
    ({"data": IMAGES.astype(np.int16) - 9}, "say with --range LOW,HIGH"),
    ({"data": "mnist", "labels": [0]}, "labels: expected an array of images"),
    ({"generator": None}, "expected both models or none"),
    ({"latent_dim": 5}, "generator: expected inputs of 5"),
    ({"data": IMAGES[:, :, :, None].repeat(3, 3)}, "generator: expected outputs of the samples' "),
    ({"logits": 7}, "discriminator: expected one logit a sample, or one for each of the")])
def test_wrong_arguments_are_one_sentence(tmp_path, settings, message):
    given = {"data": IMAGES, "outdir": tmp_path, "clusters": 1, "base_channels": 4, **settings}
    if {"generator", "latent_dim", "logits"} & settings.keys() or "of the samples'" in message:
        given = own_models(logits=given.pop("logits", 1)) | given
    assert_error(re.escape(message), gan.train, **given)
    assert not list(tmp_path.glob("*.json"))
    assert "own" not in LOSSES.keys() | ARCHITECTURES.keys()


def test_the_snippets_of_the_page_run(run, tiny_npz, tmp_path, monkeypatch):
    train = gan.train

    def small(data, **settings):
        if settings["outdir"] == "run":
            shutil.copytree(run.folder, "run")
            return gan.load("run")
        fast = {} if "generator" in settings else {"arch": "mlp"}
        return train(tiny_npz if isinstance(data, str) else data, **OPTIONS | settings | fast)

    monkeypatch.setitem(gan.__dict__, "train", small)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    names = {"images": IMAGES, "labels": LABELS, "shape": (16, 16, 1)}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet.replace("(64,)", "(24,)"), names)
    assert gan.load("hinge").config["loss"] == gan.load("mine").config["arch"] == "own"
    assert gan.load("mine").config["latent_dim"] == 24
    assert report.main(["hinge"]) == 0


def test_a_resumed_run_is_judged_in_its_present_features(trained, tiny_npz, tmp_path, monkeypatch):
    trained("--dataset", tiny_npz, *TINY, *QUICK, "--outdir", "run")
    before = gan.load(tmp_path / "run")
    others = SimpleNamespace(
        kind="others", description="other features", accuracy=None, statistics=None,
        extract=lambda images: (images[:].reshape(len(images), -1)[:, ::16] / 9, None))
    monkeypatch.setattr("gan.evaluate.evaluator.extractor_for", lambda *_: others)
    trained("--resume", "--metrics-interval", 1, "--outdir", "run")
    after = gan.load(tmp_path / "run")
    assert after.metrics["frechet"] > 2 * before.metrics["frechet"]
    assert after.history["frechet"][-1] == pytest.approx(after.metrics["frechet"], rel=1e-4)
