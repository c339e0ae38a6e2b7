"""make_gif.py: which pictures it takes, where the GIF goes, what it refuses."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, run_script


def test_make_gif_shows_the_epochs_in_order(tiny_run, tmp_path):
    folder, _ = tiny_run
    done = run_script("make_gif.py", "--images", folder / "generated_images", "--fps", 5,
                      "--hold", 1, "--scale", 1, "--no-caption", "--output", "training.gif",
                      cwd=tmp_path)
    assert done.returncode == 0 and "8 frames" in done.stdout, done.stderr
    gif = Image.open(tmp_path / "training.gif")
    names = ["0000", *(f"0000_step_{step:09d}" for step in (4, 6, 8, 11, 16)), "0001", "0002"]
    for index, name in enumerate(names):
        gif.seek(index)
        assert gif.info["duration"] == (1200 if name == "0002" else 200)
        expected = np.asarray(Image.open(folder / f"generated_images/epoch_{name}.png"))
        np.testing.assert_array_equal(np.asarray(gif.convert("L")), expected)


def test_make_gif_sorts_by_number_and_captions(tmp_path):
    for epoch in (2, 10, 9, 10000):
        shade = np.full((20, 120), epoch % 251, np.uint8)
        Image.fromarray(shade).save(tmp_path / f"epoch_{epoch}.png")
    done = run_script("make_gif.py", "--images", tmp_path / "epoch_*.png", "--every", 2,
                      "--scale", 2, "--output", tmp_path / "a.gif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    gif = Image.open(tmp_path / "a.gif")
    shades = []
    for frame in range(gif.n_frames):
        gif.seek(frame)
        pixels = np.asarray(gif.convert("L"))
        assert pixels.shape == (40 + 28, 240) and pixels[40:].max() > 200  # the caption
        shades.append(int(pixels[0, 0]))
    assert shades == [9, 10000 % 251]  # every second, the last one always


def write_pictures(folder, count=2, size=20):
    folder.mkdir(parents=True)
    for epoch in range(count):
        Image.fromarray(np.full((size, size), 40 * epoch % 256, np.uint8)).save(
            folder / f"epoch_{epoch:04d}.png")


def make_gif(folder, *arguments):
    return run_script("make_gif.py", *arguments, cwd=folder)


def refusal(folder, *arguments):
    """The one line with which arguments are refused."""
    done = make_gif(folder, *arguments)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("make_gif.py: error: ")


@pytest.mark.parametrize(("images", "output"), [
    ([], "training.gif"), (["--images", "."], "training.gif"),
    (["--images", "run"], "run/training.gif"),
    (["--images", "run/generated_images"], "run/training.gif"),
    (["--images", "run/generated_images/"], "run/training.gif"),
    (["--images", "others"], "training.gif"),
    (["--images", "others/epoch_*.png"], "training.gif"),
    (["--images=-dash"], "-dash/training.gif"),
    (["--images=~/run"], "run/training.gif"),
])
def test_the_gif_lies_beside_the_runs_pictures(tmp_path, images, output):
    for folder in ("", "run", "-dash"):
        write_pictures(tmp_path / folder / "generated_images")
    write_pictures(tmp_path / "others")
    home = {**os.environ, "HOME": str(tmp_path)}
    done = run_script("make_gif.py", *images, cwd=tmp_path, env=home)
    assert done.returncode == 0, done.stderr
    shown = tmp_path / output if "~" in "".join(images) else output
    assert done.stdout.startswith(f"{shown}: 2 frames, ")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.gif")] == [output]


def test_make_gif_asks_before_it_overwrites(tmp_path):
    write_pictures(tmp_path / "generated_images")
    assert make_gif(tmp_path).returncode == 0
    assert refusal(tmp_path) == ("training.gif exists; expected --force to overwrite it, or "
                                 "another --output")
    assert make_gif(tmp_path, "--force").returncode == 0
    assert "ends in .gif" in refusal(tmp_path, "--output", "epoch_0001.jpg")
    assert refusal(tmp_path, "--output=") == "--output: expected the name of a file, got: ''"
    assert refusal(tmp_path, "--images=") == "--images: expected the name of a folder, got: ''"
    assert make_gif(tmp_path, "--output=-a.gif").returncode == 0
    assert (tmp_path / "-a.gif").is_file()


@pytest.mark.parametrize("kind", ["a folder", "a broken link", "no file"])
def test_what_lies_in_the_place_of_the_gif_stays(tmp_path, kind):
    write_pictures(tmp_path / "generated_images")
    path = tmp_path / "training.gif"
    {"a folder": path.mkdir, "a broken link": lambda: path.symlink_to(tmp_path / "gone"),
     "no file": lambda: os.mkfifo(path)}[kind]()
    def identity():
        state = path.lstat()
        return state.st_ino, state.st_mode, state.st_mtime_ns

    before = identity()
    for arguments in ([], ["--force"]):
        assert f"training.gif: expected a file or nothing, got {kind}" in refusal(
            tmp_path, *arguments)
    assert identity() == before and not (tmp_path / "gone").exists()


def test_a_link_to_a_gif_stays_one(tmp_path):
    write_pictures(tmp_path / "generated_images")
    (tmp_path / "elsewhere.gif").write_text("old")
    (tmp_path / "training.gif").symlink_to("elsewhere.gif")
    assert make_gif(tmp_path, "--force").returncode == 0
    assert (tmp_path / "training.gif").is_symlink()
    assert Image.open(tmp_path / "elsewhere.gif").n_frames == 2


def test_a_fifo_among_the_pictures_does_not_hang(tmp_path):
    write_pictures(tmp_path / "generated_images")
    os.mkfifo(tmp_path / "generated_images/epoch_0007.png")
    assert "epoch_0007.png: expected a PNG picture, got no file" in refusal(tmp_path)


def test_frames_are_not_larger_than_the_format_allows(tmp_path):
    (tmp_path / "generated_images").mkdir()
    Image.new("L", (8192, 8)).save(tmp_path / "generated_images/epoch_0001.png")
    assert "--scale: expected frames of at most" in refusal(tmp_path, "--scale", 8)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_a_killed_process_left_is_removed(tmp_path, number):
    write_pictures(tmp_path / "generated_images", 60, 1000)
    process = subprocess.Popen([sys.executable, str(ROOT / "make_gif.py"), "--scale", "4"],
                               cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               # Under nohup it is ignored, and that is inherited.
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    end = time.monotonic() + 60
    while not list(tmp_path.glob(".gan-partial-*")) and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.5)  # while tqdm is being made, an interrupt has it complain besides
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    left = [path.name for path in tmp_path.iterdir() if path.name != "generated_images"]
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number and errors == "make_gif.py: interrupted\n"
        assert left == []
        return
    assert len(left) == 1 and left[0].startswith(".gan-partial-")
    (tmp_path / ".gan-partial-notes").write_text("not ours")
    shutil.rmtree(tmp_path / "generated_images")
    write_pictures(tmp_path / "generated_images")
    assert make_gif(tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "generated_images", "training.gif", ".gan-partial-notes"}
