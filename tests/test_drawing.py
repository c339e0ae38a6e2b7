"""Images, curves and animations as they are drawn and written."""

import math
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.data.sample_types import Images
from gan.drawing import images
from gan.drawing.animations import write_animation
from gan.drawing.sample_grids import surface_shade
from gan.loop import early_steps
from gan.run import curves
from tests.conftest import assert_error, noise
from tests.test_report import config, content, row


def test_every_shade_survives_the_way_there_and_back():
    shades = np.arange(256)
    values = np.float32(shades / 127.5 - 1)[:, None]
    np.testing.assert_array_equal(Images.to_stored(values)[:, 0], shades)
    beyond = np.float32([[-1.0, 0.0, 1.0, 1.5, -2.0]])
    assert Images.to_stored(beyond).numpy().tolist() == [[0, 128, 255, 255, 0]]


def test_a_grid_puts_images_row_by_row_and_is_enlarged_without_blur(tmp_path):
    numbered = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 1), np.uint8)
    grid = images.tile(numbered, columns=3)
    assert grid.shape == (2 * 5 + 2, 3 * 6 + 2, 1)
    assert [grid[2, 2 + 6 * column, 0] for column in range(3)] == [0, 1, 2]
    assert [grid[7, 2 + 6 * column, 0] for column in range(3)] == [3, 4, images.BACKGROUND]
    # Black, white, and what an untrained generator draws can be told from the gaps.
    assert min(abs(images.BACKGROUND - shade) for shade in (0, 128, 255)) > 40
    random = noise(4, size=8, channels=3)
    grid, small = images.image_grid(random), images.tile(random)
    factor = len(grid) // len(small)
    assert factor > 1
    np.testing.assert_array_equal(grid[::factor, ::factor], small)
    images.write_png(tmp_path / "a.png", grid)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), grid)
    np.testing.assert_array_equal(images.read_png(tmp_path / "a.png"), grid)


@pytest.fixture
def drawn(tmp_path):
    """A function that draws three epochs with metrics and returns the panels of the figure."""
    def draw(metrics, *options):
        rows = [row(epoch, **values) for epoch, values in enumerate(metrics, 1)]
        run = content(rows=rows, config=config(*options))
        with mock.patch("matplotlib.figure.Figure.savefig", autospec=True) as save:
            curves.draw_curves(tmp_path / "curves.png", run)
        return save.call_args.args[0].axes

    return draw


def dashed(panel):
    return [float(line.get_ydata()[0]) for line in panel.lines if line.get_linestyle() == "--"]


@pytest.mark.parametrize(("loss", "ideal", "log_odds"), [
    ("nonsaturating", [2 * math.log(2), math.log(2)], True),
    ("relativistic", 2 * [math.log(2)], False), ("wgan", [0], False)])
def test_losses_have_their_ideal_and_log_odds_their_probability(drawn, loss, ideal, log_odds):
    panels = drawn([{}] * 3, "--loss", loss)
    assert dashed(panels[0]) == pytest.approx(ideal)
    low, high = panels[0].get_ylim()
    assert all(low < value < high for value in ideal)
    labels = [panel.get_ylabel() for panel in panels[1:]]
    if log_odds:
        assert labels == ["Discriminator’s probability of “real”"]
    else:
        assert labels == ["Discriminator’s output", "Discriminator accuracy"]
        assert dashed(panels[1]) == []
        np.testing.assert_array_equal(panels[2].lines[0].get_ydata(), 0.6)
    assert dashed(panels[-1]) == [0.5] and panels[-1].get_ylim() == (0, 1)


def test_metrics_are_drawn_where_they_were_measured_more_than_once(drawn):
    assert len(drawn([{}, {}, {"frechet": 2.0}])) == 2
    panel = drawn([{"frechet": 3.0}, {}, {"frechet": 2.0}])[2]
    assert panel.get_ylabel() == "Fréchet distance"
    np.testing.assert_array_equal(panel.lines[0].get_xydata(), [[1, 3], [3, 2]])


def test_a_decision_surface_is_white_where_the_discriminator_is_undecided():
    undecided = np.full(3, 7.0, np.float32)  # a critic's output may have any offset
    shade, caption = surface_shade(undecided, undecided, undecided, log_odds=False)
    np.testing.assert_array_equal(shade, 0)
    assert "probability" not in caption
    shade, _ = surface_shade(np.array([2, 4, 6], np.float32), np.array([5.0]), np.array([3.0]),
                             log_odds=False)
    assert shade[0] < 0 == shade[1] < shade[2]
    logits = np.array([-3, 0, 3], np.float32)
    shade, caption = surface_shade(logits, logits, logits + 1, log_odds=True)
    np.testing.assert_allclose((shade + 1) / 2, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    assert "probability" in caption


def test_the_first_epoch_is_drawn_at_growing_distances():
    assert early_steps(0, 937) == [
        4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724]
    assert early_steps(4, 12) == [6, 8, 11]  # the sixth is the epoch's own


@pytest.mark.parametrize(("channels", "plays"), [(1, 0), (1, 2), (3, 1), (3, 3)])
@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_holds_the_frames_and_their_durations(tmp_path, suffix, channels, plays):
    shades = np.array([0, 85, 170, 254, 255] if channels == 3 else range(256), np.uint8)
    random = np.random.default_rng(0)
    frames = [random.choice(shades, (18, 21, 3)[: 2 + channels // 3]) for _ in range(4)]
    if suffix == ".webp":  # which is lossy
        frames = [np.full_like(frame, 60 * index) for index, frame in enumerate(frames)]
    path = tmp_path / f"animation{suffix}"
    write_animation(path, iter(frames), [0.25, 0.25, 0.1, 100.0], loop=plays)
    with Image.open(path) as animation:
        assert animation.n_frames == 4
        loop = animation.info.get("loop")
        if suffix == ".gif":  # the format counts what follows the first
            loop = 1 if loop is None else loop and loop + 1
        assert loop == plays  # 0: forever
        for index, duration in enumerate([250, 250, 100, 100_000]):
            animation.seek(index)
            found = np.asarray(animation.convert("RGB")).astype(int)
            expected = frames[index] if channels == 3 else frames[index][..., None]
            assert animation.info["duration"] == duration
            assert np.abs(found - expected).max() <= (2 if suffix == ".webp" else 0)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_that_breaks_off_leaves_the_earlier_one(tmp_path, suffix):
    path = tmp_path / f"animation{suffix}"
    path.write_bytes(b"earlier")

    def frames():
        yield noise(1)[0, ..., 0]
        raise UserError("broken")

    assert_error("broken", write_animation, path, frames(), [1, 1])
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_more_frames_than_memory_are_refused_at_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("gan.drawing.animations.memory_bytes", lambda: 6 * 4 * 16 * 16 - 2)
    assert_error("4 frames that need .* smaller ones, or write .mp4", write_animation,
                 tmp_path / "a.gif", iter(noise(4)[..., 0]), [1] * 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("suffix", "frames", "seconds"), [
    (".gif", [np.zeros((9, 9), np.uint8)] * 2, 600),  # equal frames become one of 1,200 s
    (".gif", np.zeros((2, 1, 70_000), np.uint8), 1),
    (".webp", np.zeros((2, 1, 17_000), np.uint8), 1)])
def test_frames_that_a_format_cannot_hold_are_refused(tmp_path, suffix, frames, seconds):
    assert_error("expected frames of a size and duration that a",
                 write_animation, tmp_path / f"a{suffix}", frames, [seconds] * 2)
    assert not list(tmp_path.iterdir())
