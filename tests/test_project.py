"""Projection: a generator's own images are found again, and the latents draw them."""

import numpy as np
import pytest
from PIL import Image

from gan import project
from gan.drawing.images import image_grid, read_png
from tests.conftest import assert_error


@pytest.fixture(scope="module")
def pictures(saved, tmp_path_factory):
    """PNG files of three images that are not among the candidates, and the images."""
    images = saved.sample(range(project.CANDIDATES, project.CANDIDATES + 3))
    paths = [tmp_path_factory.mktemp("pictures") / f"{place}.png" for place in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return list(map(str, paths)), images


@pytest.fixture
def projected(tiny_run, tmp_path):
    """A function that projects pictures onto the tiny run as a command line says."""
    return lambda *arguments, model=tiny_run: project.main(
        ["--model", str(model), "--output", str(tmp_path / "found.png"), *arguments])


def test_own_images_are_found(tiny_run, saved, pictures, projected, command, tmp_path, capsys):
    paths, images = pictures
    assert projected(*paths) == 0
    printed = capsys.readouterr().out
    arrays = np.load(tmp_path / "found.npz")
    drawn = saved.images(arrays["latents"], saved.condition_vectors(arrays["conditions"]))
    np.testing.assert_allclose(arrays["errors"], project.rmse(drawn / 255, images / 255))
    candidates = saved.sample(range(project.CANDIDATES))
    nearest = [project.rmse(candidates / 255, image / 255).min() for image in images]
    assert (arrays["errors"] < np.array(nearest) / 2).all(), (arrays["errors"], nearest)
    assert printed.count("RMSE") == 3 and printed.count(", class ") == 3
    from_latents = ["generate.py", "--model", tiny_run, "--latents", tmp_path / "found.npz"]
    assert command(*from_latents, "--output", "again.npz")[0] == 0
    assert np.array_equal(np.load("again.npz")["images"], drawn)
    code, _, complaint = command(*from_latents, "--interpolate", "0,3", "--output", "path.gif")
    assert code == 2 and "expected seeds below 3" in complaint
    pairs = np.stack([images, drawn], axis=1).reshape(-1, *images.shape[1:])
    assert np.array_equal(read_png(tmp_path / "found.png"), image_grid(pairs, 4)[..., 0])


def test_what_cannot_be_done_is_said_before_anything_is_drawn(pictures, projected, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("mine")
    for arguments, words in (([str(broken)], "broken"), (["--output", "found.jpg"], "a file that")):
        assert_error(words, projected, pictures[0][0], *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]
