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
from gan.drawing.animations import write_animation
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
    for name in ("config.json", "report.html", "manifest.txt"):
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


def read_animation(path):
    """Frames as uint8 arrays and milliseconds of a GIF, WebP or PNG file."""
    with Image.open(path) as animation:
        found = []
        for index in range(animation.n_frames):
            animation.seek(index)
            found.append((np.asarray(animation.convert("RGB")), animation.info["duration"]))
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_holds_the_frames_and_their_durations(tmp_path, suffix, channels):
    shades = np.array([0, 85, 170, 254, 255] if channels == 3 else range(256), np.uint8)
    random = np.random.default_rng(0)
    frames = [random.choice(shades, (18, 21, 3)[: 2 + channels // 3]) for _ in range(4)]
    if suffix == ".webp":  # which is lossy
        frames = [np.full_like(frame, 60 * index) for index, frame in enumerate(frames)]
    path = tmp_path / f"animation{suffix}"
    write_animation(path, iter(frames), [0.25, 0.25, 0.1, 100.0])
    found = read_animation(path)
    assert [duration for _, duration in found] == [250, 250, 100, 100_000]
    for (image, _), frame in zip(found, frames, strict=True):
        expected = frame if channels == 3 else np.repeat(frame[..., None], 3, axis=-1)
        assert np.abs(image.astype(int) - expected).max() <= (2 if suffix == ".webp" else 0)


def plays_of(path):
    """How often an animation plays, by the bytes of its file; 0: forever."""
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
@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_plays_as_often_as_asked(tmp_path, suffix, plays):
    path = tmp_path / f"animation{suffix}"
    write_animation(path, iter(noise(1)), [0.1] * 4, loop=plays)
    assert plays_of(path) == plays


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_that_breaks_off_leaves_the_earlier_one(tmp_path, suffix):
    path = tmp_path / f"animation{suffix}"
    path.write_bytes(b"earlier")

    def frames():
        yield noise(1)[0]
        raise UserError("broken")

    with pytest.raises(UserError, match="broken"):
        write_animation(path, frames(), [1, 1])
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_more_frames_than_memory_are_refused_at_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("gan.drawing.animations.memory_bytes", lambda: 6 * 4 * 18 * 21 - 2)
    with pytest.raises(UserError, match="4 frames that need .* smaller ones, or write .mp4"):
        write_animation(tmp_path / "a.gif", iter(noise(1)), [1] * 4)
    assert not list(tmp_path.iterdir())


def test_equal_frames_that_stay_too_long_for_a_gif_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected frames that stay for at most 655 s"):
        write_animation(tmp_path / "a.gif", [noise(1)[0]] * 2, [600, 600])
    write_animation(tmp_path / "a.webp", [noise(1)[0]] * 2, [600, 600])


def make(folder, name, *options):
    return run_script("make_gif.py", "--images", folder, "--output", name, *options, cwd=folder)


@pytest.fixture
def four_pictures(tmp_path):
    names = ("0000", "0000_step_000000004", "0000_step_000000100", "0001")
    for name, image in zip(names, noise(1), strict=True):
        Image.fromarray(image).save(tmp_path / f"epoch_{name}.png")
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
