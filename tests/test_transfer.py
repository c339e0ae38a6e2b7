"""A run that begins with the weights of another run or of an export."""

import json
import re

import numpy as np
import pytest

from gan.data.conditions import condition_dataset
from gan.data.datasets import from_arrays
from gan.run.options import make_config
from gan.training import build_trainer
from gan.transfer import read_source, take_over
from tests.conftest import assert_error, draw_shapes
from tests.test_foreign_files import write


@pytest.fixture(scope="module")
def begin(tiny_run):
    """A function that builds a run on squares ("1") and crosses with the weights of `path`."""
    def make(path=tiny_run, colors=1, **options):
        images, labels = draw_shapes(320, 5)
        images, labels = images[..., None].repeat(colors, axis=-1), np.array(["1", "cross"])[labels]
        dataset = from_arrays("other", "data", {"images": images, "labels": labels})
        config = make_config(init_from=str(path), batch_size=16, **options).for_data(dataset)
        conditioning = condition_dataset(dataset, config.condition, config.clusters, 0,
                                         config.components)
        state = build_trainer(config, dataset, conditioning)[0].state
        before = {name: variable.numpy() for name, variable in state.variables().items()}
        said = take_over(config, state, conditioning, dataset.class_names)
        return read_source(path), conditioning, state, before, said

    return make


@pytest.mark.parametrize("options", [{"clusters": 3}, {"clusters": 1, "condition": "clusters"}])
def test_weights_are_those_of_the_run_and_new_clusters_the_mean_of_their_class(begin, options):
    source, conditioning, state, _, said = begin(**options)
    kernels = {"generator/00", "ema/00", *(f"discriminator/{number:02d}" for number in (2, 3))}
    names = [name for name in source.weights
             if name.startswith(("generator/", "ema/", "discriminator/"))]
    assert kernels < set(names)
    for name in names:
        if name not in kernels:
            np.testing.assert_array_equal(state.variables()[name], source.weights[name], name)
    # What each condition adds to the first and the last layer, before and now.
    old_width, new_width = source.vectors.shape[1], conditioning.vectors.shape[1]
    last = state.variables()["discriminator/02"].numpy()
    assert conditioning.coordinates.shape[1] == 1
    np.testing.assert_array_equal(last.T[new_width:],
                                  source.weights["discriminator/02"].T[old_width:])
    for old, new in (
            (source.weights["generator/00"][8:], state.variables()["generator/00"].numpy()[8:]),
            (source.weights["discriminator/02"].T[:old_width], last.T[:new_width])):
        if not len(new):  # a generator without conditions
            continue
        before, after = source.vectors @ old, conditioning.vectors @ new
        overall = np.average(before, axis=0, weights=source.probabilities)
        same = source.classes == "1"
        of_squares = np.average(before[same], axis=0, weights=source.probabilities[same])
        labels = [1] if conditioning.class_of is None else conditioning.class_of
        for value, label in zip(after, labels, strict=True):
            expected = of_squares if label == 0 else overall  # "1" comes before "cross"
            np.testing.assert_allclose(value, expected, atol=1e-6)
    assert int(state.step) == 0 and said.startswith("step 40 of ")
    if conditioning.class_of is not None:
        assert said.endswith("generator and discriminator; classes taken over: 1; new classes: "
                             "cross")


def test_an_export_has_no_discriminator(begin, tiny_run):
    source, _, state, before, said = begin(tiny_run / "exported_model")
    variables = state.variables()
    whole = begin()[0]
    for number in range(1, len(state.ema.variables)):
        for owner in ("generator", "ema"):
            np.testing.assert_array_equal(variables[f"{owner}/{number:02d}"],
                                          whole.weights[f"ema/{number:02d}"])
    for name, value in before.items():
        if name.startswith("discriminator/"):
            np.testing.assert_array_equal(variables[name], value)
    assert "the discriminator begins anew" in said


def test_what_does_not_fit_or_is_damaged_is_said_or_refused(begin, tmp_path):
    assert "the discriminator begins anew" in begin(spectral_norm=True)[-1]
    assert re.search("not taken over: generator/to_image\\S*/kernel, generator/to_image\\S*/bias, "
                     "discriminator/downsample\\S*/kernel$", begin(colors=3)[-1])
    assert_error(r"--init-from: expected networks like those of step 40 of .* \(conv of 4 "
                 r"channels, latents of 8, 16 x 16 x 1\), got: conv of 8 c", begin, base_channels=8)
    write(tmp_path, "checkpoints/step_000000001.npz")
    assert_error("--init-from: expected a whole checkpoint in", read_source, tmp_path)


def test_a_run_on_other_pictures_begins_where_another_ended(trained, tiny_npz, tiny_run, tmp_path):
    output = trained("--dataset", tiny_npz, "--init-from", tiny_run, "--epochs", 1,
                     "--batch-size", 16, "--num-samples", 9, "--augment", "none", "--outdir", "new")
    assert re.search(r"init from +step 40 of", output)
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert (config["base_channels"], config["latent_dim"]) == (4, 8)  # of the other run
    assert config["init_from"] == str(tiny_run)
    about = json.loads((tmp_path / "new/exported_model/assets.extra/gan.json").read_text())
    assert about["config"]["init_from"] == tiny_run.name  # and no path


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--init-from", "nowhere"], "--init-from: expected a folder with an exported generator"),
    (["--init-from", "run", "--resume"], "--init-from has no effect on a run that is resumed"),
    (["--resume", "--outdir", "run", "--dataset", "mnist"], "--init-from run and another --out")])
def test_wrong_sources_are_refused(refused, run, arguments, expected):
    assert expected in refused("train_gan.py", *arguments)
