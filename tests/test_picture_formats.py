"""What a picture file is, its content decides; what beside it is left out is said."""

import os

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.data import pictures
from gan.data.datasets import load_dataset
from tests.test_pictures import colours, write

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def load_two(folder, path, **settings):
    """Load a folder with a picture and a copy of it; returns the first."""
    (folder / f"copy_of_{path.name}").write_bytes(path.read_bytes())
    return load_dataset(str(folder), **settings).images[-1]


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.gif", "a", "a.data"])
def test_a_png_under_any_name(folder, name):
    Image.fromarray(RAMP).save(folder / name, format="PNG")
    np.testing.assert_array_equal(load_two(folder, folder / name)[..., 0], RAMP)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP", "PNG"])
def test_formats_without_loss(folder, form):
    Image.fromarray(RAMP).save(folder / f"a.{form.lower()}", format=form, lossless=True)
    found = load_two(folder, folder / f"a.{form.lower()}", channels=1)
    np.testing.assert_allclose(found[..., 0], RAMP, atol=form == "WEBP")


def test_the_first_frame_of_many(folder):
    first, second = Image.fromarray(RAMP), Image.fromarray(255 - RAMP)
    for name in ("a.gif", "b.tiff"):
        first.save(folder / name, save_all=True, append_images=[second])
    data = load_dataset(str(folder), channels=1)
    np.testing.assert_array_equal(data.images[..., 0], [RAMP, RAMP])


def test_sixteen_bits_become_eight(folder):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(folder / "a.png")
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(folder / "b.tiff")
    data = load_dataset(str(folder))
    assert data.images.shape == (2, 16, 16, 1)
    np.testing.assert_array_equal(data.images[..., 0], [RAMP, RAMP])


def test_sixteen_bits_of_colour_become_eight(folder):
    import struct
    import zlib

    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    values = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    (folder / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b""))
    found = load_two(folder, folder / "a.png")
    np.testing.assert_array_equal(found, np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1))


def test_cmyk_becomes_rgb(folder):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red.save(folder / "a.jpg", quality=95)
    red.save(folder / "b.tiff")
    for image in load_dataset(str(folder)).images:
        np.testing.assert_allclose(image, colours((16, 16), (255, 0, 0)), atol=6)


def test_floats_from_0_to_1_become_bytes_and_others_are_refused(folder):
    Image.fromarray((RAMP / 255).astype(np.float32)).save(folder / "a.tiff")
    Image.fromarray((RAMP / 255).astype(np.float32)).save(folder / "b.tiff")
    np.testing.assert_array_equal(load_dataset(str(folder)).images[1, ..., 0], RAMP)
    Image.fromarray(RAMP.astype(np.float32) * 10).save(folder / "c.tiff")
    Image.fromarray(np.full((16, 16), np.nan, np.float32)).save(folder / "d.tiff")
    with pytest.raises(UserError, match="2 of 4 pictures cannot be used: c.tiff .values from 0 to "
                       "2550, expected 0 to 1.; d.tiff .values from nan"):
        load_dataset(str(folder))


def test_grey_with_transparency_is_laid_on_white(folder):
    Image.fromarray(np.dstack([RAMP, np.zeros_like(RAMP)]), "LA").save(folder / "a.png")
    assert (load_two(folder, folder / "a.png", channels=1) == 255).all()


def test_other_files_are_counted_and_named_and_hidden_ones_are_not(folder, capsys):
    for name in ("x/1.png", "y/2.png", ".git/3.png", "x/.thumbs/4.png", "x/._1.png"):
        write(folder / name, RAMP)
    for name in ("notes.txt", "x/list.csv", "y/b\x1b[31m.dat", "z/only.md", ".DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("BM no picture")
    data = load_dataset(str(folder))
    assert data.class_names == ("x", "y") and len(data.images) == 2
    assert capsys.readouterr().out == (
        "left out: 4 files besides pictures: notes.txt, x/list.csv, y/b\\x1b[31m.dat, "
        "z/only.md\n")


def test_many_other_files_are_not_all_named(folder, capsys):
    for number in range(8):
        write(folder / f"{number}.png", RAMP)
        (folder / f"{number}.txt").write_text("")
    load_dataset(str(folder))
    assert capsys.readouterr().out == ("left out: 8 files besides pictures: 0.txt, 1.txt, "
                                       "2.txt, 3.txt, 4.txt and 3 more\n")


@pytest.mark.parametrize("skip_broken", [False, True])
def test_nothing_that_can_be_used(folder, skip_broken):
    for number in range(3):
        (folder / f"{number}.png").write_text("no picture")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(UserError, match="3 of 3 pictures cannot be used: 0.png .broken: not "
                           "PNG.*expected some that can be used"):
            load_dataset(str(folder), image_size=16, skip_broken=skip_broken)


def test_a_class_without_usable_pictures_is_left_out(folder, capsys):
    write(folder / "a" / "1.png", RAMP)
    (folder / "b").mkdir()
    (folder / "b" / "2.png").write_text("no picture")
    write(folder / "c" / "3.png", RAMP)
    data = load_dataset(str(folder), image_size=16, skip_broken=True)
    assert data.class_names == ("a", "c") and data.labels.tolist() == [0, 1]
    assert "no picture of b can be used, so the class is left out" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs are POSIX")
def test_fifos_and_broken_links_are_named_and_not_waited_for(folder):
    write(folder / "a.png", RAMP)
    os.mkfifo(folder / "b.png")
    os.mkfifo(folder / "c.txt")
    os.symlink("nowhere", folder / "d.png")
    with pytest.raises(UserError, match="2 of 3 pictures cannot be used: b.png .not a file.; "
                       "d.png .a link to nothing.; expected whole"):
        load_dataset(str(folder))


def test_links_are_followed_but_not_in_a_circle(folder, tmp_path):
    write(tmp_path / "elsewhere" / "1.png", RAMP)
    write(folder / "b" / "2.png", RAMP)
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "b" / "loop").symlink_to(folder)
    data = load_dataset(str(folder))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1]


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    write(folder / "a" / "1.png", RAMP)
    write(folder / "b" / "2.png", RAMP)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(pictures.os, "scandir", refuse)
    with pytest.raises(UserError, match="data/b: cannot be read: Permission denied"):
        load_dataset(str(folder))


LAYOUTS = [
    (("train", "test"), "train", "test"), (("Train", "Test"), "Train", "Test"),
    (("TRAIN", "TEST"), "TRAIN", "TEST"), (("training", "testing"), "training", "testing"),
    (("train", "val"), "train", "val"), (("training", "Valid"), "training", "Valid"),
    (("train", "validation"), "train", "validation"), (("train2017", "val2017"), "train2017",
                                                       "val2017"),
    (("train_images", "test-set"), "train_images", "test-set"),
    (("train", "test", "val"), "train", "test"), (("Train", "Validation", "Test"), "Train", "Test"),
    (("train",), "train", None),
]


@pytest.mark.parametrize(("names", "train", "test"), LAYOUTS, ids=lambda value: str(value))
def test_usual_names_of_parts(folder, names, train, test, capsys):
    for number, name in enumerate(names):
        for file in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
            write(folder / name / file, np.full((16, 16), 10 + 10 * number, np.uint8))
    data = load_dataset(str(folder))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 0, 1, 1]
    assert (data.images == 10 + 10 * names.index(train)).all()
    assert (data.test_images is None) == (test is None)
    if test:
        assert (data.test_images == 10 + 10 * names.index(test)).all()
        assert sorted(data.test_labels.tolist()) == [0, 0, 1, 1]
    said = capsys.readouterr()
    assert said.err == ""
    assert ("val" in said.out.lower() and "is not used" in said.out) == (len(names) == 3)


@pytest.mark.parametrize("names", [("train", "plane", "car"), ("test", "val"), ("train", "Train")])
def test_parts_beside_classes_are_classes_and_it_is_said(folder, names, capsys):
    for name in names:
        write(folder / name / "1.png", RAMP)
    data = load_dataset(str(folder))
    assert data.class_names == tuple(sorted(names)) and data.test_images is None
    assert "taken as classes" in capsys.readouterr().err


def test_other_folders_than_parts_may_lie_beside_them(folder):
    for part in ("train", "test"):
        write(folder / part / "1.png", RAMP)
        write(folder / part / "2.png", RAMP)
    (folder / "docs").mkdir()
    (folder / "docs" / "readme.txt").write_text("")
    data = load_dataset(str(folder))
    assert len(data.images) == len(data.test_images) == 2 and data.labels is None


def test_test_images_may_lack_classes_but_not_have_others(folder):
    for name in ("train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png"):
        write(folder / name, RAMP)
    assert load_dataset(str(folder)).test_labels is None
    for name in ("test/1.png", "test/2.png"):
        (folder / name).unlink()
    for name in ("test/b/1.png", "test/c/1.png"):
        write(folder / name, RAMP)
    with pytest.raises(UserError, match="test labels: .* among the training labels, got: c$"):
        load_dataset(str(folder))
