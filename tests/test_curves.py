import math
from types import SimpleNamespace

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from gan.config import TrainConfig
from gan.data.sample_types import Images, Points
from gan.drawing.sample_grids import surface_shade
from gan.run import curves
from gan.run.clock import Timers
from gan.run.progress import Progress

ROW = {"discriminator_loss": 1.2, "generator_loss": 0.8, "real_score": 0.6, "fake_score": 0.4,
       "discriminator_accuracy": 0.7}


def history(count, **metrics):
    return [{"epoch": number, **ROW, **metrics} for number in range(1, count + 1)]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A function that draws rows and returns the panels of the figure and the file's bytes."""
    figures = []

    class Kept(matplotlib.figure.Figure):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            figures.append(self)

    monkeypatch.setattr("gan.drawing.plots.Figure", Kept)

    def draw(rows, *options):
        config, _ = TrainConfig.from_args(list(options))
        curves.draw_curves(tmp_path / "curves.png", rows, config)
        return figures[-1].axes, (tmp_path / "curves.png").read_bytes()

    return draw


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_the_axis_shows_whole_epochs_only(drawn, count):
    panels, _ = drawn(history(count))
    low, high = panels[-1].get_xlim()
    ticks = [tick for tick in panels[-1].get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)
    assert low < 1 <= count < high and high - low < 1.1 * count + 1


def dashed(panel):
    return [float(line.get_ydata()[0]) for line in panel.lines if line.get_linestyle() == "--"]


def test_the_ideal_losses_are_drawn(drawn):
    panels, _ = drawn(history(3))
    assert dashed(panels[0]) == pytest.approx([2 * math.log(2), math.log(2)])
    low, high = panels[0].get_ylim()
    assert low < math.log(2) and high > 2 * math.log(2)
    panels, _ = drawn(history(3), "--loss", "relativistic")
    assert dashed(panels[0]) == pytest.approx([math.log(2)])  # the same for both


@pytest.mark.parametrize("loss", ["nonsaturating", "minimax", "lsgan", "hinge", "wgan",
                                  "relativistic"])
def test_a_probability_is_drawn_only_where_logits_are_log_odds(drawn, loss):
    panels, _ = drawn(history(3), "--loss", loss)
    labels = [panel.get_ylabel() for panel in panels[1:]]
    if loss in ("nonsaturating", "minimax"):
        assert labels == ["discriminator's probability of “real”"]
    else:
        assert labels == ["discriminator's mean output", "discriminator accuracy"]
        assert dashed(panels[1]) == []
        np.testing.assert_array_equal(panels[2].lines[0].get_ydata(), 0.7)
    assert dashed(panels[-1]) == [0.5] and panels[-1].get_ylim() == (0, 1)


def test_a_plane_is_white_where_the_discriminator_is_undecided():
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


def test_the_distance_is_drawn_where_it_was_measured_more_than_once(drawn):
    assert len(drawn(history(3))[0]) == 2
    once = history(3)
    once[-1]["frechet"] = 2.0
    assert len(drawn(once)[0]) == 2
    panels, _ = drawn(history(3, frechet=2.0))
    assert "Fréchet distance (lower is better)" in panels[2].get_ylabel()
    panels, _ = drawn(history(3, modes=8, good=0.9), "--dataset", "ring")
    assert "good points (higher is better)" in panels[2].get_ylabel()
    assert "real points" in [text.get_text() for text in panels[1].get_legend().get_texts()]


def test_the_same_rows_give_the_same_bytes(drawn):
    assert drawn(history(3, frechet=2.0))[1] == drawn(history(3, frechet=2.0))[1]


@pytest.mark.parametrize(("kind", "text"), [(Images, "1,000 img/s"), (Points, "1,000 points/s")])
def test_the_line_of_an_epoch_names_what_is_learned(kind, text, capsys):
    progress = Progress(1, 1, 1, 0, unit=kind.unit)
    progress.epoch_line({"epoch": 1, "seconds": 1.0, "images_per_second": 1000.0, **ROW})
    assert text in capsys.readouterr().out


def test_a_name_with_dollars_is_drawn_as_it_is(tmp_path):
    config = TrainConfig(dataset="price_$_a_$")
    curves.draw_curves(tmp_path / "curves.png", [{"epoch": 1, **ROW}], config)
    assert Image.open(tmp_path / "curves.png").size[0] > 500


def test_a_run_draws_its_curves_every_ten_seconds(tmp_path, monkeypatch):
    clock, path = [100.0], tmp_path / "curves.png"
    monkeypatch.setattr(curves.time, "monotonic", lambda: clock[0])
    history = SimpleNamespace(rows=[])
    folder = SimpleNamespace(loss_curves=path, claim=lambda path: path)
    live = curves.LiveCurves(folder, history, TrainConfig(), Timers())
    live.draw()
    assert not path.exists()  # no epoch is done
    history.rows.append({"epoch": 1, **ROW})
    live.draw()
    first = path.read_bytes()
    history.rows.append({"epoch": 2, **ROW})
    clock[0] += 9.9
    live.draw()
    assert path.read_bytes() == first
    live.draw(at_once=True)
    second = path.read_bytes()
    assert second != first
    history.rows.append({"epoch": 3, **ROW})
    clock[0] += 10
    live.draw()
    assert path.read_bytes() not in (first, second)
