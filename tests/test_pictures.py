"""Pictures of any format, mode, size and shape; what cannot be used; the cache of their pixels."""

import json
import os
import re
import shutil
import time
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageFile

from gan.common.errors import UserError
from gan.data import decoding, pictures
from gan.data.datasets import load_dataset
from tests.conftest import QUICK, TINY, assert_refused, draw_shapes

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture
def decode(monkeypatch):
    """The function that decodes a file, as a mock that calls it."""
    noted = mock.Mock(wraps=pictures.decode)
    monkeypatch.setattr(pictures, "decode", noted)
    return noted


def write(path, image, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **settings)


def write_all(folder, names):
    """Write a picture under each name, in shades of gray that count up from 0."""
    for shade, name in enumerate(names):
        image = np.full((16, 16), shade, np.uint8)
        image[-1, -1] = 255
        write(folder / name, image)


def shades(images):
    return images[:, 0, 0, 0].tolist()


def cached(folder):
    return sorted((folder.parent / "cache" / "gan").glob("pictures_*.bin"))


# Formats and modes.


@pytest.mark.parametrize(("name", "form"), [
    ("a.gif", "GIF"), ("a.bmp", "BMP"), ("a.tiff", "TIFF"), ("a.webp", "WEBP"), ("a.jpg", "PNG"),
    ("a", "PNG")])  # under any name
def test_formats_without_loss(folder, name, form):
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - RAMP)]}
    Image.fromarray(RAMP).save(folder / name, format=form, lossless=True,
                               **(frames if form in ("GIF", "TIFF") else {}))
    write(folder / "0.png", RAMP)
    found = load_dataset(str(folder), channels=1).images[1]  # of many, the first frame
    np.testing.assert_allclose(found[..., 0], RAMP, atol=form == "WEBP")


def test_gray_values_are_scaled_by_the_bits_that_a_whole_folder_needs(folder, capsys, monkeypatch):
    """As in medical pictures: 12 bits in files of 16, some of them darker than others."""
    monkeypatch.setattr(decoding, "STRIPE", 100)  # several stripes a picture
    for name, most in (("train/a.png", 1000), ("train/b.tiff", 4000),
                       ("test/c.png", 500), ("test/d.png", 400)):
        write(folder / name, np.linspace(0, most, 256).reshape(16, 16).astype(np.uint16))
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(folder))
        assert data.images.max(axis=(1, 2, 3)).tolist() == [62, 249]  # 255 / 4095 times as much
        assert sorted(data.test_images.max(axis=(1, 2, 3)).tolist()) == [25, 31]
        assert "0 becomes black and 4,095 white; --range" in capsys.readouterr().out
    data = load_dataset(str(folder), range="500,1000")
    assert data.images.max(axis=(1, 2, 3)).tolist() == [255, 255] and data.images.min() == 0
    assert data.test_images.max() == 0 and "--range" not in capsys.readouterr().out
    write(folder / "train/b.tiff", RAMP.astype(np.uint16) * 257)  # all 16 bits
    write(folder / "train/c.tiff", (RAMP / 255).astype(np.float32))
    np.testing.assert_array_equal(load_dataset(str(folder)).images[1:, ..., 0], [RAMP] * 2)


def test_modes_become_one(folder, monkeypatch):
    monkeypatch.setattr(decoding, "STRIPE", 1000)  # several stripes a picture
    red = np.full((40, 40, 3), (200, 10, 30), np.uint8)
    write(folder / "a.png", red)
    write(folder / "b.jpg", red, quality=95)
    write(folder / "c.webp", red, lossless=True)
    Image.fromarray(red).quantize(4).save(folder / "d.png")
    Image.new("CMYK", (40, 40), (55, 245, 225, 0)).save(folder / "e.tif")
    clear = np.zeros((40, 40), np.uint8)
    write(folder / "f.png", np.dstack([red, clear]))  # nothing but transparency
    Image.fromarray(np.dstack([clear, clear])).save(folder / "g.png")
    write(folder / "h.JPEG", red[..., 0])
    data = load_dataset(str(folder), image_size=20)
    assert data.images.shape == (8, 20, 20, 3)
    for image in data.images[:5]:
        np.testing.assert_allclose(image, red[:20, :20], atol=6)
    assert (data.images[5:7] == 255).all()
    assert (data.images[7] == data.images[7, ..., :1]).all()
    assert load_dataset(str(folder), image_size=20, channels=1).images.shape == (8, 20, 20, 1)


def test_rotated_photographs_stand_upright(folder):
    image = np.zeros((20, 40), np.uint8)
    image[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated a quarter clockwise
    write(folder / "a.jpg", image, exif=exif)
    write(folder / "b.png", image.T)
    found = load_dataset(str(folder)).images[0, ..., 0]
    assert found.shape == (40, 20)
    assert found[:, 10:].mean() > 240 and found[:, :10].mean() < 15


# Transparent pictures and stacks.


@pytest.mark.parametrize(("shades", "ground"), [
    ([255], "black"), ([230], "black"), ([0], "white"), ([128], "white"), ([255, 0], "gray")])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pictures_do_not_vanish(folder, capsys, monkeypatch, shades, ground, mode):
    monkeypatch.setattr(decoding, "STRIPE", 100)  # several stripes a picture
    for number in range(8):
        image = np.zeros((16, 16, 4), np.uint8)
        image[4:12, number : number + 8] = *[shades[number % len(shades)]] * 3, 255
        picture = Image.fromarray(image)
        (picture.quantize(4) if mode == "P" else picture.convert(mode)).save(
            folder / f"{number}.png")
    write(folder / "opaque.png", np.dstack([RAMP] * 3 + [np.full_like(RAMP, 255)]))
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(folder))
        assert data.facts == {"transparent": 8, "ground": ground}
        assert "8 of 9 pictures have transparent parts, which are laid on " + ground in (
            capsys.readouterr().out)
        assert (data.images[:8, 0, 0] == decoding.GROUNDS[ground]).all()
        assert (np.ptp(data.images[:8], axis=(1, 2, 3)) > 40).all()
        np.testing.assert_array_equal(data.images[8], np.dstack([RAMP] * 3))


def test_test_pictures_and_margins_have_the_ground_of_the_training_pictures(folder):
    for name, shade in (("train/1", 255), ("train/2", 240), ("test/3", 10), ("test/4", 0)):
        image = np.full((16, 32, 4), shade, np.uint8)
        image[:4, :, 3], image[:, :, 3][4:] = 0, 255
        write(folder / f"{name}.png", image)
    data = load_dataset(str(folder), fit="pad", image_size=32)
    for images in (data.images, data.test_images):
        assert (images[:, :12] == 0).all() and (images[:, -8:] == 0).all()


def test_pages_and_frames_are_counted_or_taken(folder, capsys):
    pages = [Image.fromarray(np.roll(np.dstack([RAMP, RAMP.T, RAMP]), 3 * turn, 0))
             for turn in range(4)]
    for name, more in (("a.tif", pages[1:]), ("b.png", pages[2:]), ("c.gif", pages[1:]),
                       ("d.webp", pages[3:])):
        pages[0].save(folder / name, save_all=True, append_images=more, lossless=True)
    pages[1].save(folder / "e.jpg")
    assert load_dataset(str(folder)).facts == {"pages_passed_over": 9}
    assert "9 pages or frames beyond the first of their files" in capsys.readouterr().out
    for _ in range(2):
        data = load_dataset(str(folder), frames="all")
        assert len(data.images) == 14 and data.facts == {"files": 5}
        assert capsys.readouterr().out == ""
    for place, page in ((0, 0), (1, 1), (3, 3), (4, 0), (5, 2), (11, 0), (12, 3)):
        np.testing.assert_array_equal(data.images[place], np.asarray(pages[page]))
    for name in "xy":
        (folder / name).mkdir()
    for path in folder.glob("*.*"):
        path.rename(folder / ("x" if path.suffix == ".tif" else "y") / path.name)
    assert load_dataset(str(folder), frames="all").labels.tolist() == [0] * 4 + [1] * 10
    shutil.rmtree(folder / "y")
    assert_refused(folder, "at least 2 pictures.* got 1; --frames all takes all")


# Sizes and shapes.


def test_the_middle_square_is_shrunk_by_averaging_areas(folder):
    image = np.zeros((64, 96), np.uint8)
    image[:, 16:80] = np.kron(RAMP, np.ones((4, 4)))
    image[:, :16] = 255  # outside of the middle
    write(folder / "a.png", image)
    write(folder / "b.png", image)
    np.testing.assert_array_equal(load_dataset(str(folder), image_size=16).images[0, ..., 0], RAMP)


def wide(height=24, width=48):
    """A black third, a gray third and a light third, side by side."""
    image = np.zeros((height, width), np.uint8)
    image[:, width // 3 :] = 100
    image[:, 2 * width // 3 :] = 200
    return image


@pytest.mark.parametrize("turned", [False, True])
def test_three_ways_to_give_a_picture_other_proportions(folder, decode, turned):
    write_all(folder, ["1.png"])
    write(folder / "2.png", wide().T if turned else wide())

    def load(fit):
        data = load_dataset(str(folder), image_size="18x24" if turned else "24x18", fit=fit)
        return data.images[1, ..., 0].T if turned else data.images[1, ..., 0]

    np.testing.assert_array_equal(load("crop"), wide(18, 36)[:, 6:30])
    padded = load("pad")
    assert (padded[:3] == 255).all() and (padded[15:] == 255).all()
    np.testing.assert_array_equal(padded[3:15], wide(12, 24))
    assert load("squash").shape == (18, 24)
    assert load("squash")[9].tolist()[::4] == [0, 0, 100, 100, 200, 200]
    assert len(decode.call_args_list) == 6 and len(cached(folder)) == 3  # a cache each
    load("crop")
    assert len(decode.call_args_list) == 6


def test_pixel_art_is_resized_by_nearest_neighbor(folder, capsys):
    colors = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
    sprites = [colors[number][np.random.default_rng(number).integers(0, 4, (16, 16))]
               for number in range(6)]
    for number, sprite in enumerate(sprites):
        write(folder / "train" / f"{number}.png", sprite)
    write(folder / "test" / "1.png", RAMP)
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(folder), image_size=32)
        np.testing.assert_array_equal(data.images, np.repeat(np.repeat(sprites, 2, 1), 2, 2))
        assert (data.test_images[0, ::2, ::2, 0] == RAMP).all()  # as the training pictures
        assert data.facts == {"resample": "nearest"}
        assert "--resample smooth" in capsys.readouterr().out
    assert len(np.unique(load_dataset(str(folder), image_size=32, resample="smooth").images)) > 200
    assert load_dataset(str(folder)).facts == {}  # nothing to resize
    write(folder / "train" / "7.png", RAMP)
    write(folder / "train" / "8.png", RAMP)
    assert load_dataset(str(folder), image_size=32).facts == {}
    write(folder.parent / "tiny" / "1.png", RAMP[:10, :10] // 4)  # 30 shades of 100 pixels
    write(folder.parent / "tiny" / "2.png", RAMP[2:12, :10] // 4)
    assert load_dataset(str(folder.parent / "tiny"), image_size=20).facts == {}
    nearest = load_dataset(str(folder), image_size=32, resample="nearest").images
    np.testing.assert_array_equal(nearest[-1][::2, ::2, 0], RAMP)


@pytest.mark.parametrize(("sizes", "wanted", "expected"), [
    # Pictures of one size keep it, or their proportions.
    ("18x18", None, (18, 18)), ("48x20", None, (48, 20)), ("16x256", None, (16, 256)),
    ("130x260", None, (64, 128)), ("178x218", None, (64, 78)), ("50x50", "48x36", (48, 36)),
    ("130x260 70x70", None, (64, 64)),
    # Small ones need another size.
    ("16x16 24x24 32x32", None, "expected at least 32 x 32.*a smaller --image-size"),
    ("30x60", "64x256", "expected at least 32 x 128.*a smaller --image-size")])
def test_the_size_of_pictures_is_their_own(folder, sizes, wanted, expected):
    sides = [tuple(map(int, size.split("x"))) for size in sizes.split()]
    for number in range(6):
        width, height = sides[number % len(sides)]
        write(folder / f"{number}.png", wide(height, width) + np.uint8(number))
    options = {"image_size": wanted} if wanted else {}
    if isinstance(expected, str):
        assert_refused(folder, expected, **options)
        return
    found = load_dataset(str(folder), **options).images[0, ..., 0]
    assert found.shape == expected[::-1]
    assert sides != [expected] or (found == wide(*found.shape)).all()


# What cannot be used.


def test_unusable_pictures_are_named_or_skipped_with_their_labels(folder, capsys):
    images, _ = draw_shapes(4, 0)
    for number, image in enumerate(images):
        write(folder / "b" / f"{number}.png", image)
    (folder / "b" / "half.png").write_bytes((folder / "b" / "0.png").read_bytes()[:60])
    (folder / "b" / "text.jpg").write_text("not a picture")
    write(folder / "b" / "tiny.png", images[0][:5, :5])
    Image.new("LAB", (16, 16)).save(folder / "b" / "odd.tiff")
    Image.fromarray(RAMP.astype(np.float32)).save(folder / "b" / "deep.tiff")
    with pytest.raises(UserError, match="5 of 9 pictures cannot be used") as caught:
        load_dataset(str(folder), image_size=16)
    for text in ("half.png (broken:", "text.jpg (broken: not PNG", "odd.tiff (mode LAB, expected g",
                 "tiny.png (5 x 5 pixels, expected at least 8 x 8)", "--skip-broken",
                 "deep.tiff (values from 0 to 255, expected 0 to 1, or --range)"):
        assert text in str(caught.value), text
    write(folder / "a" / "x.png", images[0])
    (folder / "c").mkdir()
    (folder / "c" / "y.png").write_text("not a picture")
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(folder), image_size=16, skip_broken=True)
        np.testing.assert_array_equal(data.images[..., 0], images[[0, 0, 1, 2, 3]])
        assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1, 1, 1, 1]
        said = capsys.readouterr().err
        assert "6 of 11 pictures cannot be used" in said
        assert "no picture of c can be used, so the class is left out" in said


def test_nothing_that_can_be_used(folder):
    (folder / "0.png").write_text("no picture")
    for _ in range(2):  # the second time from the cache
        assert_refused(folder, "1 of 1 picture cannot be used: 0.png .broken: not PNG.*expected "
                       "some that can be used", image_size=16, skip_broken=True)


def test_fifos_and_broken_links_are_named_and_not_waited_for(folder):
    write(folder / "a.png", RAMP)
    os.mkfifo(folder / "b.png")
    os.mkfifo(folder / "c.txt")
    os.symlink("nowhere", folder / "d.png")
    assert_refused(folder, "2 of 3 pictures cannot be used: b.png .not a file.; "
                   "d.png .not a file.; expected whole")


@pytest.mark.parametrize(("name", "most", "expected"), [
    ("MOST_PIXELS", 10**4 - 1, "100 x 100 pixels, expected at most 9,999 in all"),
    ("MOST_BYTES", 16 * 10**4 - 1, "100 x 100 pixels of TIFF take 0 MiB to decode")])
def test_a_picture_too_large_is_not_decoded(folder, monkeypatch, name, most, expected):
    for file in ("a.tif", "b.tif"):
        write(folder / file, np.zeros((100, 100), np.uint8))
    monkeypatch.setattr(decoding, name, most + 1)
    assert len(load_dataset(str(folder), image_size=16).images) == 2
    shutil.rmtree(folder.parent / "cache")
    monkeypatch.setattr(decoding, name, most)
    with mock.patch.object(ImageFile.ImageFile, "load") as load:
        assert_refused(folder, re.escape(expected), image_size=16)
    assert not load.called or name == "MOST_PIXELS"  # what is only looked at is bounded in bytes


def test_large_pictures_are_decoded_one_at_a_time(folder, monkeypatch):
    for number in range(6):
        write(folder / f"{number}.png", np.zeros((100, 100, 3), np.uint8))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    now, most, fitted = [], [], decoding._fitted

    def observe(*arguments):
        now.append(1)
        most.append(len(now))
        time.sleep(0.02)
        now.pop()
        return fitted(*arguments)

    monkeypatch.setattr(decoding, "_fitted", observe)
    for large, expected in ((10**6, False), (10**4, True)):
        monkeypatch.setattr(decoding, "LARGE_BYTES", large)
        most.clear()
        shutil.rmtree(folder.parent / "cache", ignore_errors=True)
        assert len(load_dataset(str(folder), image_size=16).images) == 6
        assert (max(most) == 1) == expected


# The cache.


def test_changed_pictures_are_decoded_anew_into_the_same_file(folder, decode):
    write_all(folder, ["1.png", "2.png", "3.png"])
    before = load_dataset(str(folder)).images
    assert isinstance(before, np.memmap)
    decode.reset_mock()
    assert shades(load_dataset(str(folder)).images) == [0, 1, 2] and not decode.called
    (folder / "2.png").unlink()
    write(folder / "4.png", np.full((16, 16), 100, np.uint8))
    assert shades(load_dataset(str(folder)).images) == [0, 2, 100]
    names = sorted(os.path.basename(call.args[0].name) for call in decode.call_args_list)
    assert names == ["1.png", "3.png", "4.png"]
    assert len(cached(folder)) == 1  # the former one would only take space
    assert shades(before) == [0, 1, 2]  # whoever reads it goes on
    write(folder / "5.png", np.full((16, 16, 3), (200, 0, 0), np.uint8))
    assert load_dataset(str(folder)).images.shape == (4, 16, 16, 3)


def test_a_picture_of_the_same_size_and_time_is_seen_to_have_changed(folder):
    write_all(folder, ["1.bmp", "2.bmp"])
    load_dataset(str(folder))
    state = os.stat(folder / "1.bmp")
    other = (folder / "2.bmp").read_bytes()
    assert len(other) == state.st_size
    time.sleep(0.02)  # the clock of a file system may go in steps
    (folder / "1.bmp").write_bytes(other)
    os.utime(folder / "1.bmp", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert shades(load_dataset(str(folder)).images) == [1, 1]


@pytest.mark.parametrize("damage", [
    lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    lambda content: content[:50], lambda content: content[:-8] + b"\xff" * 8,
    lambda content: b""], ids=["flip", "cut", "length", "empty"])
def test_damaged_cache_is_made_anew(folder, damage, capsys):
    write_all(folder, ["1.png", "2.png", "3.png"])
    load_dataset(str(folder))
    (path,) = cached(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert shades(load_dataset(str(folder)).images) == [0, 1, 2]
    assert "making it anew" in capsys.readouterr().err
    assert len(cached(folder)) == 1


def test_without_a_cache_folder_the_pictures_stay_in_memory(folder, monkeypatch, capsys):
    write_all(folder, ["1.png", "2.png"])
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    assert shades(load_dataset(str(folder)).images) == [0, 1]
    assert "will be read again next time" in capsys.readouterr().err


def test_the_cache_is_for_its_owner_alone_and_no_link_is_followed(folder, decode, capsys):
    write_all(folder, ["1.png", "2.png"])
    (folder.parent / "cache" / "gan").mkdir(parents=True, mode=0o755)
    load_dataset(str(folder))
    path, = cached(folder)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)  # anybody may have written there since
    decode.reset_mock()
    load_dataset(str(folder))
    assert len(decode.call_args_list) == 2 and path.stat().st_mode & 0o777 == 0o600
    file, elsewhere = folder.parent / "file", folder.parent / "elsewhere"
    file.write_text("mine")
    path.unlink()
    path.symlink_to(file)
    assert shades(load_dataset(str(folder)).images) == [0, 1]
    assert file.read_text() == "mine" and path.is_file() and not path.is_symlink()
    path.unlink()
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)
    assert shades(load_dataset(str(folder)).images) == [0, 1]
    assert list(elsewhere.iterdir()) == [] and "it is a link" in capsys.readouterr().err


def test_color_pictures_are_trained_on_and_drawn_from(folder, trained, succeed):
    random = np.random.default_rng(0)
    for number in range(48):
        write(folder / "abcdef"[number % 6] / f"{number}.png",
              random.integers(0, 256, (24, 20, 4)).astype(np.uint8))
    shutil.make_archive(folder.parent / "all", "zip", folder)
    said = trained("--dataset", "all.zip", *TINY, *QUICK, "--memory-share", 0)
    said = " ".join(said.split())
    assert "all: 48 images of 20 x 24 x 3, 6 classes (a: 8, b: 8, c: 8, d: 8 and 2 more)" in said
    assert "read from the disk while training" in said
    about = json.loads((folder.parent / "summary.json").read_text())["data"]
    assert about["transparent"] == 48 and about["ground"] == "white"
    succeed("generate.py", "--output", "a.png", "--grid", "2x2")
    grid = np.asarray(Image.open(folder.parent / "a.png"))
    assert grid.shape == (18 * (2 * 24 + 6), 18 * (2 * 20 + 6), 3)
    assert (grid[..., 0] != grid[..., 2]).any()


def test_pictures_that_are_all_alike_are_refused_in_the_dry_run(folder, refused):
    for number in range(40):
        write(folder / f"{number}.png", RAMP)
    assert "40 that are all alike" in refused("train_gan.py", "--dataset", folder, "--dry-run")
