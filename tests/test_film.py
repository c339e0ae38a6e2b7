"""When a run draws within its epochs, and the formats of films."""

import importlib.util
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.drawing.apng import write_apng
from gan.drawing.gif import write_gif
from gan.drawing.webp import write_webp
from gan.loop import early_steps
from tests.conftest import ROOT, TINY, run_script
from tests.test_scripts import assert_same_run, pictures

needs_ffmpeg = pytest.mark.skipif(importlib.util.find_spec("imageio_ffmpeg") is None,
                                  reason="needs imageio-ffmpeg")


def test_the_first_epoch_is_drawn_at_growing_distances():
    assert early_steps(937) == [4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724]
    assert early_steps(6) == [4]  # the sixth is the epoch's own


@pytest.mark.slow
def test_a_run_killed_between_pictures_ends_with_the_same_ones(tiny_npz, tmp_path):
    command = ["--dataset", tiny_npz, *TINY, "--clusters", "2", "--epochs", "3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run_script("train_gan.py", *command, "--outdir", whole, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = [name for name in pictures(whole) if "step" in name]
    assert len(drawn) == 5 and "epoch_0000_step_000000016.png" in drawn
    process = subprocess.Popen([sys.executable, ROOT / "train_gan.py", *map(str, command),
                                "--outdir", killed], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (killed / "generated_images/epoch_0000_step_000000008.png").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run_script("train_gan.py", "--resume", "--outdir", killed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_run(whole, killed)


def test_a_run_killed_in_its_first_epoch_may_begin_again(tiny_npz, tiny_run, tmp_path):
    images = tmp_path / "generated_images"
    shutil.copytree(tiny_run[0] / "generated_images", images)
    for path in images.glob("epoch_000[12]*.png"):
        path.unlink()
    for name in ("config.json", "report.html"):
        shutil.copy(tiny_run[0] / name, tmp_path)
    done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1,
                      "--clusters", 2, "--sample-interval", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"epoch_0000.png", "epoch_0001.png", "real_samples.png"} <= set(pictures(tmp_path))
    assert "epoch_0002.png" not in pictures(tmp_path)


def noise(channels, count=4):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (18, 21) if channels == 1 else (18, 21, 3), np.uint8)
            for _ in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animated_png_holds_the_frames_exactly(tmp_path, channels):
    frames, path = noise(channels), tmp_path / "film.png"
    write_apng(path, iter(frames), [0.25, 0.25, 0.25, 100.0], loop=3)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["loop"] == 3
        for index, frame in enumerate(frames):
            film.seek(index)
            np.testing.assert_array_equal(np.asarray(film), frame)
            assert film.info["duration"] == (100_000 if index == 3 else 250)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animated_webp_shows_the_frames(tmp_path, channels):
    shades = [np.full_like(frame, 60 * index) for index, frame in enumerate(noise(channels))]
    path = tmp_path / "film.webp"
    write_webp(path, iter(shades), [0.25, 0.25, 0.25, 2.25], loop=3)
    assert path.read_bytes()[4:8] == (path.stat().st_size - 8).to_bytes(4, "little")
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["loop"] == 3 and film.size == (21, 18)
        for index in range(4):
            film.seek(index)
            assert np.abs(np.asarray(film.convert("L")).astype(int) - 60 * index).max() <= 2
            assert film.info["duration"] == (2250 if index == 3 else 250)


def plays_of(path):
    """How often a film plays, by the bytes of its file; 0: for ever."""
    data = path.read_bytes()
    if data.startswith(b"GIF"):
        start = data.find(b"NETSCAPE2.0")
        if start < 0:
            return 1
        repetitions = int.from_bytes(data[start + 13 : start + 15], "little")
        return repetitions + 1 if repetitions else 0  # the format counts what follows the first
    if data.startswith(b"RIFF"):
        start = data.find(b"ANIM")
        return int.from_bytes(data[start + 12 : start + 14], "little")
    start = data.find(b"acTL")
    return int.from_bytes(data[start + 8 : start + 12], "big")


@pytest.mark.parametrize("plays", [0, 1, 2, 3])
@pytest.mark.parametrize("write", [write_gif, write_apng, write_webp])
def test_a_film_plays_as_often_as_asked(tmp_path, write, plays):
    write(tmp_path / "film", iter(noise(1)), [0.1] * 4, loop=plays)
    assert plays_of(tmp_path / "film") == plays


@pytest.mark.parametrize("write", [write_apng, write_webp])
def test_a_film_that_breaks_off_leaves_the_earlier_one(tmp_path, write):
    path = tmp_path / "film"
    path.write_bytes(b"earlier")

    def frames():
        yield noise(1)[0]
        raise UserError("broken")

    with pytest.raises(UserError, match="broken"):
        write(path, frames(), [1, 1])
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def make(folder, name, *options):
    return run_script("make_gif.py", "--images", folder, "--output", name, *options, cwd=folder)


@pytest.fixture
def four_pictures(tmp_path):
    for name in ("0000", "0000_step_000000004", "0000_step_000000100", "0001"):
        Image.fromarray(noise(1)[0]).save(tmp_path / f"epoch_{name}.png")
    return tmp_path


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".WEBP"])
def test_make_gif_writes_the_format_of_the_name(four_pictures, suffix):
    done = make(four_pictures, f"film{suffix}", "--scale", 1, "--fps", 8)
    assert done.returncode == 0, done.stderr
    with Image.open(four_pictures / f"film{suffix}") as film:
        assert film.n_frames == 4 and film.format == suffix[1:].upper()


@needs_ffmpeg
def test_make_gif_writes_mp4(four_pictures):
    import imageio.v2 as imageio

    done = make(four_pictures, "film.mp4", "--scale", 1, "--no-caption", "--fps", 4, "--hold", 1)
    assert done.returncode == 0, done.stderr
    with imageio.get_reader(four_pictures / "film.mp4") as film:
        assert film.get_meta_data()["fps"] == 4
        shown = [np.asarray(frame) for frame in film]
    assert len(shown) == 3 + 5  # the last one stays a second longer
    assert shown[0].shape == (18, 22, 3)  # even sides


@needs_ffmpeg
def test_mp4_does_not_loop(four_pictures):
    done = make(four_pictures, "film.mp4", "--loop", 2)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "--loop: expected 0, as .mp4 files do not say how often they play" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("imageio_ffmpeg") is not None,
                    reason="imageio-ffmpeg is installed")
def test_mp4_without_ffmpeg_is_refused_in_one_line(four_pictures):
    done = make(four_pictures, "film.mp4")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "expected: pip install -r requirements-film.txt" in done.stderr
    assert not (four_pictures / "film.mp4").exists()


def test_other_formats_are_refused(four_pictures):
    done = make(four_pictures, "film.avi")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "expected a name that ends in .gif, .webp, .png, .mp4, got: film.avi" in done.stderr
