"""make_gif.py: which pictures it takes, where the animation goes, what it refuses."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import frames_of
from tests.test_pictures import write


@pytest.fixture
def make_gif(command, monkeypatch, tmp_path):
    """A function that runs the script in `tmp_path`; returns what it prints."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def make(*arguments):
        code, said, complaint = command("make_gif.py", *arguments)
        assert (code, complaint) == (0, "")
        return said

    return make


def write_pictures(folder, count=2, size=20):
    for epoch in range(count):
        shade = np.full((size, size), 40 * epoch % 256, np.uint8)
        write(folder / f"epoch_{epoch:04d}.png", shade)


def test_a_gif_shows_the_epochs_in_order(tiny_run, tmp_path, make_gif):
    folder = tiny_run / "generated_images"
    assert "8 frames" in make_gif("--images", folder, "--fps", 5, "--hold", 1, "--scale", 1,
                                  "--no-caption", "--output", "training.gif")
    names = ["0000", *(f"0000_step_{step:09d}" for step in (4, 6, 8, 11, 16)), "0001", "0002"]
    for (frame, duration), name in zip(frames_of(tmp_path / "training.gif"), names, strict=True):
        assert duration == (1200 if name == "0002" else 200)
        np.testing.assert_array_equal(frame, np.asarray(Image.open(folder / f"epoch_{name}.png")))


def test_pictures_are_sorted_by_number_scaled_and_captioned(tmp_path, make_gif):
    for epoch in (2, 10, 9, 10000):
        write(tmp_path / f"epoch_{epoch}.png", np.full((20, 120), epoch % 251, np.uint8))
    make_gif("--images", "epoch_*.png", "--every", 2, "--scale", 2, "--title", "Élan → ψ",
             "--output", "a.gif")
    shades = []
    for pixels, _ in frames_of(tmp_path / "a.gif"):
        assert pixels.shape == (28 + 40 + 28, 240)
        assert pixels[:28].max() > 200 < pixels[68:].max()  # the title, the caption
        shades.append(int(pixels[28, 0]))
    assert shades == [9, 10000 % 251]  # every second, the last one always


@pytest.mark.parametrize(("history", "unit"), [
    (None, "epoch"), ("epoch,step\n1,100\n2,200\n", "step"), ("step\nx\n", "epoch")])
def test_captions_have_one_unit(tmp_path, make_gif, monkeypatch, history, unit):
    captions = []
    monkeypatch.setattr("make_gif.with_text", lambda frame, title, caption: captions.append(
        caption) or frame)
    for run in ("a", "b"):
        write_pictures(tmp_path / run / "generated_images", 3)
    first = tmp_path / "a/generated_images/epoch_0000.png"
    first.rename(first.with_name("epoch_0000_step_000000004.png"))
    if history:
        (tmp_path / "a/history.csv").write_text(history)
    make_gif("--images", "a")
    assert captions == {"step": ["step 4", "step 100", "step 200"],
                        "epoch": ["epoch 0", "epoch 1", "epoch 2"]}[unit]
    make_gif("--images", "a", "b")  # nothing is known of b
    assert captions[3:] == [f"epoch {epoch}" for epoch in (0, 0, 0, 0, 1, 1, 2, 2)]


def test_runs_side_by_side_keep_step(tmp_path, make_gif):
    write_pictures(tmp_path / "a", 4)
    for epoch in (1, 3):
        write(tmp_path / f"b/epoch_{epoch:04d}.png", np.full((30, 20, 3), 200 + epoch, np.uint8))
    make_gif("--images", "a", "b", "--scale", 1, "--no-caption", "--output", "a.png")
    frames = [frame for frame, _ in frames_of(tmp_path / "a.png")]
    assert {frame.shape for frame in frames} == {(28 + 30, 20 + 8 + 20)}
    assert [(frame[30, 0], frame[30, 40]) for frame in frames] == [
        (0, 201), (40, 201), (80, 201), (120, 203)]


@pytest.mark.parametrize(("images", "output"), [
    ([], "training.gif"), (["--images", "."], "training.gif"),
    (["--images", "run"], "run/training.gif"),
    (["--images", "run/generated_images/"], "run/training.gif"),
    (["--images", "others"], "training.gif"),
    (["--images", "others/epoch_*.png"], "training.gif"),
    (["--images=-dash"], "-dash/training.gif"),
    (["--images=~/run"], "run/training.gif"), (["--images", "run", "others"], "comparison.gif"),
    (["--output=-a.gif"], "-a.gif")])
def test_the_gif_lies_beside_the_runs_pictures(tmp_path, make_gif, images, output):
    for folder in ("", "run", "-dash"):
        write_pictures(tmp_path / folder / "generated_images")
    write_pictures(tmp_path / "others")
    shown = tmp_path / output if "~" in "".join(images) else output
    assert make_gif(*images).startswith(f"{shown}: 2 frames, ")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.gif")] == [output]


def test_mp4(tmp_path, make_gif):
    pytest.importorskip("imageio_ffmpeg")
    import imageio.v2 as imageio

    write_pictures(tmp_path, 4, 21)
    make_gif("--images", ".", "--output", "a.mp4", "--scale", 1, "--no-caption", "--hold", 1)
    with imageio.get_reader(tmp_path / "a.mp4") as animation:
        assert animation.get_meta_data()["fps"] == 4
        shown = [np.asarray(frame) for frame in animation]
    assert len(shown) == 3 + 5  # the last one stays a second longer
    assert shown[0].shape == (22, 22, 3)  # even sides


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--images", "none"], "expected pictures such as epoch_0001.png, got none in: none"),
    (["--images", "*.png"], "got none in: *.png"),
    (["--images", "odd"], "epoch_0002.png: expected a picture of the size of"),
    (["--images", "odd", "--output", "/proc/no/training.gif"], "/proc/no"),
    (["--images", "broken"], "cannot read broken/epoch_0000.png"),
    (["--images", "FIFO"], "epoch_0000.png: expected a file, got nothing or"),
    (["--images", "large"], "8-bit picture of at most 67,108,864 pixels, got 67,117,056"),
    (["--images", "largest", "--scale", 8], "--scale: expected frames of at most"),
    (["--images", 300 * "9"], "9/generated_images: File name too long"),
    (["--images="], "--images: expected the name of a folder, got: ''"),
    (["--fps", "0"], "--fps: expected a number from 0.1 to 50, got: '0'"),
    (["--images", "odd", "odd", "--title", "a"], "--title: expected one for each of 2 runs, got"),
    (["--output", "a.avi"], "expected a name that ends in .gif, .webp, .png, .mp4, got: a.avi"),
    (["--output="], "--output: expected the name of a file, got: ''"),
    (["--output", "a.mp4", "--loop", 2], "--loop: expected 0, as .mp4 files do not say"),
    (["--output", "a.mp4"], "expected: pip install -r requirements-film.txt")])
def test_wrong_input_is_one_line(refused, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    first = "epoch_0000.png"
    for name in ("none", "odd", "broken", "FIFO", "large", "largest"):
        (tmp_path / name).mkdir()
    write_pictures(tmp_path / "odd")
    Image.new("L", (24, 24)).save(tmp_path / "odd/epoch_0002.png")
    (tmp_path / "broken" / first).write_bytes(b"\x89PNG\r\n broken")
    os.mkfifo(tmp_path / "FIFO" / first)
    Image.new("1", (2**13, 2**13 + 1)).save(tmp_path / "large" / first)
    Image.new("1", (2**13, 2**13)).save(tmp_path / "largest" / first)
    assert expected in refused("make_gif.py", *arguments)
    assert not [path for path in tmp_path.rglob("*.*") if path.suffix != ".png"]


def test_a_link_to_a_gif_stays_one(tmp_path, make_gif):
    write_pictures(tmp_path / "generated_images")
    (tmp_path / "elsewhere.gif").write_text("old")
    (tmp_path / "training.gif").symlink_to("elsewhere.gif")
    make_gif("--force")
    assert (tmp_path / "training.gif").is_symlink()
    assert Image.open(tmp_path / "elsewhere.gif").n_frames == 2
