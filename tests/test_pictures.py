import os
import re
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.data import decode
from gan.data.datasets import load_dataset
from tests.conftest import TINY, draw_shapes, run_script


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path, image, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **settings)


def colours(size, color):
    return np.full((*size, 3), color, np.uint8)


def test_flat_folder_has_no_labels_and_keeps_the_pictures_own_size(tmp_path):
    images, _ = draw_shapes(5, 0)
    for number, image in enumerate(images):
        write(tmp_path / "data" / f"{number}.png", image)
    data = load_dataset(str(tmp_path / "data"))
    np.testing.assert_array_equal(data.images[..., 0], images)
    assert data.labels is None and data.class_names == () and data.name == "data"


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    images, _ = draw_shapes(4, 0)
    for number, name in enumerate(("cat", "ant", "cat", "ant")):
        write(tmp_path / "data" / name / f"{number}.png", images[number])
    write(tmp_path / "data" / ".hidden" / "x.png", images[0])
    data = load_dataset(str(tmp_path / "data"))
    assert data.class_names == ("ant", "cat") and data.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(data.images[..., 0], images[[1, 3, 0, 2]])


def test_train_and_test_folders_are_two_sets(tmp_path):
    images, _ = draw_shapes(8, 0)
    for number, image in enumerate(images):
        part, name = ("train", "test")[number // 4], "ab"[number % 2]
        write(tmp_path / "data" / part / name / f"{number}.png", image)
    data = load_dataset(str(tmp_path / "data"))
    assert len(data.images) == len(data.test_images) == 4
    np.testing.assert_array_equal(data.images[..., 0], images[[0, 2, 1, 3]])
    classes = {images[4 + number].tobytes(): number % 2 for number in range(4)}
    found = [classes.pop(image.tobytes()) for image in data.test_images]
    assert found == data.test_labels.tolist() and not classes


def test_the_middle_square_is_shrunk_by_averaging_areas(tmp_path):
    image = np.zeros((64, 96), np.uint8)
    image[:, 16:80] = np.kron(np.arange(256).reshape(16, 16), np.ones((4, 4))).astype(np.uint8)
    image[:, :16] = 255  # outside of the middle
    write(tmp_path / "data" / "a.png", image)
    write(tmp_path / "data" / "b.png", image)
    data = load_dataset(str(tmp_path / "data"), image_size=16)
    np.testing.assert_array_equal(data.images[0, ..., 0], np.arange(256).reshape(16, 16))


def test_formats_and_modes_become_one_kind(tmp_path):
    red = colours((40, 40), (200, 10, 30))
    folder = tmp_path / "data"
    write(folder / "a.png", red)
    write(folder / "b.jpg", red, quality=95)
    write(folder / "c.webp", red, lossless=True)
    Image.fromarray(red).quantize(4).save(folder / "d.png")
    clear = np.dstack([red, np.zeros((40, 40), np.uint8)])
    write(folder / "e.png", clear)  # nothing but transparency
    write(folder / "f.JPEG", red[..., 0])
    data = load_dataset(str(folder), image_size=20)
    assert data.images.shape == (6, 20, 20, 3)
    for image in data.images[:4]:
        np.testing.assert_allclose(image, red[:20, :20], atol=4)
    assert (data.images[4] == 255).all()
    assert (data.images[5] == data.images[5, ..., :1]).all()
    grey = load_dataset(str(folder), image_size=20, channels=1)
    assert grey.images.shape == (6, 20, 20, 1)


def test_turned_photographs_stand_upright(tmp_path):
    image = np.zeros((20, 20), np.uint8)
    image[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    for name in "ab":
        write(tmp_path / "data" / f"{name}.jpg", image, exif=exif)
    found = load_dataset(str(tmp_path / "data")).images[0, ..., 0]
    assert found[:, 10:].mean() > 240 and found[:, :10].mean() < 15


def broken_folder(folder):
    images, _ = draw_shapes(4, 0)
    for number, image in enumerate(images):
        write(folder / f"{number}.png", image)
    (folder / "half.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "text.jpg").write_text("not a picture")
    write(folder / "tiny.png", images[0][:5, :5])
    Image.new("LAB", (16, 16)).save(folder / "odd.tiff")
    (folder / "not_asked.txt").write_text("ignored")
    return images


def test_unusable_pictures_are_named(tmp_path):
    broken_folder(tmp_path / "data")
    with pytest.raises(UserError, match="4 of 8 pictures cannot be used") as caught:
        load_dataset(str(tmp_path / "data"), image_size=16)
    for text in ("half.png (broken:", "text.jpg (broken:", "odd.tiff (mode LAB, expected grayscale",
                 "tiny.png (5 x 5 pixels, expected sides of at least 8)", "--skip-broken"):
        assert text in str(caught.value), text


def test_skip_broken_goes_on_and_keeps_labels_beside_their_pictures(tmp_path, capsys):
    images = broken_folder(tmp_path / "data" / "b")
    write(tmp_path / "data" / "a" / "x.png", images[0])
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(tmp_path / "data"), image_size=16, skip_broken=True)
        np.testing.assert_array_equal(data.images[..., 0], images[[0, 0, 1, 2, 3]])
        assert data.labels.tolist() == [0, 1, 1, 1, 1]
        assert "4 of 9 pictures cannot be used" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_not_unpacked(tmp_path):
    images, _ = draw_shapes(2, 0)
    for number, image in enumerate(images):
        write(tmp_path / "data" / f"{number}.png", image)
    Image.new("1", (100_000, 1_000)).save(tmp_path / "data" / "wide.png")
    with pytest.raises(UserError, match=r"wide.png \(100000 x 1000 pixels, expected at most"):
        load_dataset(str(tmp_path / "data"), image_size=16)


@pytest.mark.parametrize(("name", "most", "expected"), [
    ("MOST_PIXELS", 10**4 - 1, "100 x 100 pixels, expected at most 9,999 in all"),
    ("MOST_BYTES", 16 * 10**4 - 1, "100 x 100 pixels of TIFF take 0 MiB to decode"),
])
def test_a_picture_larger_than_the_limit_is_refused_before_it_is_decoded(
        tmp_path, monkeypatch, name, most, expected):
    image = np.zeros((100, 100), np.uint8)
    for file in ("a.tif", "b.tif"):
        write(tmp_path / "data" / file, image)
    monkeypatch.setattr(decode, name, most + 1)
    assert len(load_dataset(str(tmp_path / "data"), image_size=16).images) == 2
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(decode, name, most)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UserError, match=re.escape(expected)):
        load_dataset(str(tmp_path / "data"), image_size=16)


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    for number in range(8):
        write(tmp_path / "data" / f"{number}.png", np.zeros((100, 100, 3), np.uint8))
    monkeypatch.setattr(decode, "_memory", decode.SharedMemory(20 * 10**4))  # two at a time
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    lock, now, most = threading.Lock(), [], []
    resized = decode._resized

    def observe(*arguments):
        with lock:
            now.append(1)
            most.append(len(now))
        time.sleep(0.01)
        with lock:
            now.pop()
        return resized(*arguments)

    monkeypatch.setattr(decode, "_resized", observe)
    assert len(load_dataset(str(tmp_path / "data"), image_size=16).images) == 8
    assert max(most) == 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "F", "P", "CMYK"])
def test_pictures_are_converted_in_tiles_as_if_at_once(monkeypatch, mode):
    random = np.random.default_rng(0)
    channels = {"RGBA": 4, "LA": 2, "CMYK": 4}.get(mode)
    values = random.integers(0, 256, (70, 90, channels) if channels else (70, 90))
    values = {"I;16": values * 257, "F": values / 255}.get(mode, values)
    image = Image.fromarray(values.astype({"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)),
                            mode if channels else None)
    if mode == "P":
        image = image.quantize(20)
    found = []
    for tile in (1024, 32):
        monkeypatch.setattr(decode, "TILE", tile)
        found.append(np.asarray(decode._upright_bytes(image.copy(), 3)))
    np.testing.assert_array_equal(*found)
    assert found[0].std() > 20


def cached(tmp_path):
    return sorted((tmp_path / "cache" / "gan").glob("pictures_*.bin"))


def test_cache_is_used_until_a_file_changes(tmp_path, monkeypatch):
    images, _ = draw_shapes(3, 0)
    for number, image in enumerate(images):
        write(tmp_path / "data" / f"{number}.png", image)
    first = load_dataset(str(tmp_path / "data"))
    monkeypatch.setattr(decode.Image, "open", None)  # no file is opened again
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "data")).images, first.images)
    assert isinstance(first.images, np.memmap)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "data" / "1.png", images[0])
    os.utime(tmp_path / "data" / "1.png", (1, 1))
    changed = load_dataset(str(tmp_path / "data"))
    np.testing.assert_array_equal(changed.images[..., 0], images[[0, 0, 2]])


@pytest.mark.parametrize("damage", ["flip", "cut", "about", "length", "empty", "gone"])
def test_damaged_cache_is_made_anew(tmp_path, damage, capsys):
    images, _ = draw_shapes(3, 0)
    for number, image in enumerate(images):
        write(tmp_path / "data" / f"{number}.png", image)
    load_dataset(str(tmp_path / "data"))
    (path,) = cached(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[100] ^= 1
    if damage == "about":
        content[-60] ^= 1
    if damage == "length":
        content[-24:-16] = b"\xff" * 8
    path.write_bytes(content[: {"cut": 50, "empty": 0}.get(damage)])
    if damage == "gone":
        path.unlink()
    data = load_dataset(str(tmp_path / "data"))
    np.testing.assert_array_equal(data.images[..., 0], images)
    assert ("making it anew" in capsys.readouterr().err) == (damage != "gone")
    assert len(cached(tmp_path)) == 1


def test_without_a_cache_folder_the_pictures_stay_in_memory(tmp_path, monkeypatch, capsys):
    images, _ = draw_shapes(3, 0)
    for number, image in enumerate(images):
        write(tmp_path / "data" / f"{number}.png", image)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "data")).images[..., 0], images)
    assert "will be read again next time" in capsys.readouterr().err


@pytest.mark.parametrize(("make", "expected"), [
    (lambda folder: None, "expected pictures (PNG"),
    (lambda folder: [write(folder / name, colours((20, 20), 9)) for name in ("a.png", "b/c.png")],
     "expected pictures or folders of pictures, got both: a.png and b/"),
    (lambda folder: write(folder / "only.png", colours((20, 20), 9)), "N at least 2"),
])
def test_folders_that_cannot_be_learned_from(tmp_path, make, expected):
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")
    with pytest.raises(UserError) as caught:
        load_dataset(str(tmp_path / "data"))
    assert expected in str(caught.value)


def test_a_colour_folder_is_trained_exported_and_drawn(tmp_path):
    random = np.random.default_rng(0)
    for number in range(48):
        image = random.integers(0, 256, (24, 20, 3)).astype(np.uint8)
        write(tmp_path / "data" / f"{number}.jpg", image)
    done = run_script("train_gan.py", "--dataset", "data", "--image-size", 20, *TINY,
                      "--epochs", 2, "--sample-interval", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data: 48 images of 20 x 20 x 3, no labels" in done.stdout
    again = run_script("train_gan.py", "--dataset", "data", "--image-size", 20, *TINY,
                       "--epochs", 2, "--outdir", "streamed", "--memory-share", 0, cwd=tmp_path)
    assert "read from the disk while training" in again.stdout
    for name in ("generated_images/epoch_0002.png", "generated_images/real_samples.png"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "streamed" / name).read_bytes(), name
    drawn = run_script("generate.py", "--output", "a.png", "--grid", "2x2", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    assert sheet.ndim == 3 and (sheet[..., 0] != sheet[..., 2]).any()
    gif = run_script("make_gif.py", cwd=tmp_path)
    assert gif.returncode == 0, gif.stderr
