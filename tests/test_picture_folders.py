"""Folders of pictures as people have them: any depth, any spelling, any shape, and changing."""

import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.data import decode, pictures
from gan.data.datasets import load_dataset
from gan.data.layout import SPLITS
from tests.conftest import TINY, run_script
from tests.test_pictures import cached, colours, write

SHADES = np.full((16, 16), 100, np.uint8)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded, in a list that goes on."""
    names = []

    def count(path, form):
        names.append(os.path.basename(path))
        return decode.decode(path, form)

    monkeypatch.setattr(pictures, "decode", count)
    return names


def write_all(folder, names):
    """Write a picture under each name, in shades of grey that count up from 0."""
    for shade, name in enumerate(names):
        write(folder / name, np.full((16, 16), shade, np.uint8))


def shades(images):
    return images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(("part", "names"), [
    ("train", "train Train TRAINING training trn train2017 train_images Train-Set TrainData"),
    ("test", "test Test TESTING testing tst tests test_2019 Test-Images"),
    ("validation", "val Val VALID valid validation Validation validate dev Dev_set eval val2017"),
])
def test_parts_in_any_spelling(part, names):
    for name in names.split():
        assert [key for key, pattern in SPLITS.items() if pattern.fullmatch(name)] == [part], name


@pytest.mark.parametrize("name", ["trains", "trainer", "contest", "testimony", "valley", "device",
                                  "latest", "strain"])
def test_classes_with_names_like_parts(name):
    assert not any(pattern.fullmatch(name) for pattern in SPLITS.values())


def test_the_first_level_with_several_folders_tells_the_classes(folder, capsys):
    write_all(folder, ["archive/photos/cat/1.png", "archive/photos/cat/2019/June/2.png",
                       "archive/photos/dog/old/3.png", "archive/photos/dog/4.png"])
    data = load_dataset(str(folder))
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 0, 1, 1]
    assert shades(data.images) == [0, 1, 3, 2]
    assert capsys.readouterr().out == (
        f"note: {folder}: the classes are the folders in archive/photos/\n")


def test_one_folder_at_each_level_has_no_classes(folder):
    write_all(folder, ["download/faces/all/1.png", "download/faces/all/2.png"])
    assert load_dataset(str(folder)).labels is None


def test_pictures_beside_folders_deep_inside_are_named(folder):
    write_all(folder, ["a/b/1.png", "a/b/c/2.png"])
    with pytest.raises(UserError, match="got both: a/b/1.png and c/; move the pictures into"):
        load_dataset(str(folder))


def test_parts_below_a_folder_that_all_share_and_classes_below_another(folder):
    write_all(folder, ["set/Train/images/a/1.png", "set/Train/images/b/2.png",
                       "set/TESTING/images/b/3.png", "set/TESTING/images/b/4.png"])
    data = load_dataset(str(folder))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1]
    assert shades(data.images) == [0, 1] and shades(data.test_images) == [2, 3]
    assert data.test_labels.tolist() == [1, 1]


def test_parts_within_classes(folder, capsys):
    write_all(folder, ["cat/train/1.png", "cat/test/2.png", "dog/Train/x/3.png", "dog/test/4.png",
                       "dog/val/5.png"])
    data = load_dataset(str(folder))
    assert data.class_names == ("cat", "dog")
    assert shades(data.images) == [0, 2] and data.labels.tolist() == [0, 1]
    assert shades(data.test_images) == [1, 3] and data.test_labels.tolist() == [0, 1]
    said = capsys.readouterr().out
    assert "test, train, val within the other folders are parts of the data, not classes" in said
    assert "val is not used, as test holds the test images" in said


def test_the_first_test_images_are_not_all_of_one_class(folder):
    write_all(folder, ["train/a/1.png", "train/b/2.png",
                       *(f"test/{name}/{number}.png" for name in "ab" for number in range(50))])
    data = load_dataset(str(folder))
    assert 10 < data.test_labels[:50].sum() < 40  # the metrics of some look at these only
    assert [shade >= 52 for shade in shades(data.test_images)] == data.test_labels.tolist()
    again = load_dataset(str(folder))
    np.testing.assert_array_equal(again.test_images, data.test_images)


def test_test_pictures_need_no_order_where_there_are_no_classes(folder):
    write_all(folder, ["train/1.png", "train/2.png", "test/3.png", "test/x/4.png", "test/y/5.png"])
    data = load_dataset(str(folder))
    assert shades(data.images) == [0, 1] and sorted(shades(data.test_images)) == [2, 3, 4]
    assert data.labels is None and data.test_labels is None


def wide(height=24, width=48):
    """A black third, a grey third and a white third, side by side."""
    image = np.zeros((height, width), np.uint8)
    image[:, width // 3 :] = 100
    image[:, 2 * width // 3 :] = 200
    return image


@pytest.mark.parametrize("turned", [False, True])
def test_the_three_ways_to_make_a_picture_square(folder, turned):
    picture = wide().T if turned else wide()
    write_all(folder, ["1.png"])
    write(folder / "2.png", picture)

    def load(fit):
        image = load_dataset(str(folder), image_size=24, fit=fit).images[1, ..., 0]
        return image.T if turned else image

    np.testing.assert_array_equal(load("crop"), wide()[:, 12:36])
    padded = load("pad")
    assert (padded[:6] == 255).all() and (padded[18:] == 255).all()
    np.testing.assert_array_equal(padded[6:18], wide(12, 24))
    np.testing.assert_array_equal(load("squash")[:, 2:6], np.zeros((24, 4)))
    assert load("squash")[12].tolist()[::4] == [0, 0, 100, 100, 200, 200]


def test_a_square_picture_is_the_same_whatever_the_fit(folder):
    random = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3)).astype(np.uint8)
    for number, image in enumerate(random):
        write(folder / f"{number}.png", image)
    found = [load_dataset(str(folder), image_size=20, fit=fit).images
             for fit in ("crop", "pad", "squash")]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_padded_picture_may_be_as_thin_as_a_line(folder):
    write_all(folder, ["1.png"])
    write(folder / "line.png", np.zeros((1, 200), np.uint8))
    image = load_dataset(str(folder), image_size=20, fit="pad").images[1, ..., 0]
    assert (image[9] == 0).all() or (image[10] == 0).all()
    assert (image == 255).sum() == 19 * 20
    for fit in ("crop", "squash"):
        with pytest.raises(UserError, match="line.png .200 x 1 pixels, expected sides of at least"):
            load_dataset(str(folder), image_size=20, fit=fit)


def test_each_fit_has_a_cache_of_its_own(folder, tmp_path, decoded):
    write_all(folder, ["1.png", "2.png"])
    for fit in ("crop", "pad", "pad", "crop"):
        load_dataset(str(folder), fit=fit)
    assert len(decoded) == 4 and len(cached(tmp_path)) == 2


def test_changed_pictures_are_decoded_anew_into_the_same_file(folder, tmp_path, decoded):
    write_all(folder, ["1.png", "2.png", "3.png"])
    before = load_dataset(str(folder)).images
    decoded.clear()
    (folder / "2.png").unlink()
    write(folder / "4.png", SHADES)
    assert shades(load_dataset(str(folder)).images) == [0, 2, 100]
    assert sorted(decoded) == ["1.png", "3.png", "4.png"]
    assert len(cached(tmp_path)) == 1  # the former one would only take space
    assert shades(before) == [0, 1, 2]  # whoever reads it goes on
    decoded.clear()
    assert shades(load_dataset(str(folder)).images) == [0, 2, 100] and decoded == []


def test_a_picture_of_the_same_size_and_time_is_seen_to_have_changed(folder, decoded):
    for shade in range(2):
        write(folder / f"{shade + 1}.bmp", np.full((16, 16), shade, np.uint8))
    load_dataset(str(folder))
    state = os.stat(folder / "1.bmp")
    other = (folder / "2.bmp").read_bytes()
    assert len(other) == state.st_size
    time.sleep(0.02)  # the clock of a file system may go in steps
    (folder / "1.bmp").write_bytes(other)
    os.utime(folder / "1.bmp", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert shades(load_dataset(str(folder)).images) == [1, 1]


def test_a_first_picture_in_color_makes_all_of_them_anew(folder, decoded):
    write_all(folder, ["1.png", "2.png"])
    assert load_dataset(str(folder)).images.shape == (2, 16, 16, 1)
    write(folder / "3.png", colours((16, 16), (200, 0, 0)))
    assert load_dataset(str(folder)).images.shape == (3, 16, 16, 3)


def test_caches_of_other_folders_stay(folder, tmp_path, decoded):
    write_all(folder, ["1.png", "2.png"])
    shutil.copytree(folder, tmp_path / "other")
    for name in ("data", "other"):
        load_dataset(str(tmp_path / name))
    write(folder / "3.png", SHADES)
    load_dataset(str(folder))
    decoded.clear()
    assert shades(load_dataset(str(tmp_path / "other")).images) == [0, 1] and decoded == []


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_the_cache_is_for_its_owner_alone(folder, tmp_path, decoded):
    write_all(folder, ["1.png", "2.png"])
    (tmp_path / "cache" / "gan").mkdir(parents=True, mode=0o755)
    load_dataset(str(folder))
    path, = cached(tmp_path)
    assert (tmp_path / "cache" / "gan").stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)  # anybody may have written there since
    decoded.clear()
    load_dataset(str(folder))
    assert len(decoded) == 2 and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX")
@pytest.mark.parametrize("place", ["file", "folder"])
def test_links_in_place_of_the_cache_are_not_followed(folder, tmp_path, place, capsys):
    write_all(folder, ["1.png", "2.png"])
    load_dataset(str(folder))
    path, = cached(tmp_path)
    victim = tmp_path / "victim"
    if place == "file":
        victim.write_text("mine")
        path.unlink()
        path.symlink_to(victim)
    else:
        path.parent.rename(victim)
        path.parent.symlink_to(victim)
        (victim / path.name).unlink()
    assert shades(load_dataset(str(folder)).images) == [0, 1]
    if place == "file":
        assert victim.read_text() == "mine" and path.is_file() and not path.is_symlink()
    else:
        assert list(victim.iterdir()) == [] and "it is a link" in capsys.readouterr().err


def draw_everything(folder):
    """Write what a folder gathers over the years; returns the shade of each training picture."""
    random = np.random.default_rng(0)
    root = folder / "My Pictures (1)"
    grey = np.kron(random.integers(0, 256, (8, 8)), np.ones((4, 4))).astype(np.uint8)
    colour = np.dstack([grey, grey.T, 255 - grey])

    def save(name, picture, form, **settings):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name, form, **settings)

    cats, dogs = "Training Set/cats", "Training Set/dogs"
    save(f"{cats}/IMG 1.jpg", Image.fromarray(colour), "PNG")
    save(f"{cats}/2", Image.fromarray(colour), "WEBP", lossless=True)
    save(f"{cats}/2019/June/é.gif", Image.fromarray(grey), "GIF", save_all=True,
         append_images=[Image.fromarray(255 - grey)])
    save(f"{cats}/print.jpeg", Image.new("CMYK", (40, 30), (0, 255, 255, 0)), "JPEG")
    save(f"{dogs}/deep.png", Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    save(f"{dogs}/old.bmp", Image.fromarray(colour), "BMP")
    save(f"{dogs}/scan.TIF", Image.fromarray(colour), "TIFF")
    clear = Image.fromarray(grey).quantize(16)
    save(f"{dogs}/logo.PNG", clear, "PNG", transparency=bytes(16))
    save(f"{dogs}/wide.png", Image.fromarray(np.tile(colour, (1, 3, 1))), "PNG")
    save("Training Set/newts/only one.png", Image.fromarray(colour), "PNG")
    save("TESTING/cats/1.png", Image.fromarray(colour), "PNG")
    save("TESTING/dogs/1.png", Image.fromarray(colour), "PNG")
    save("valid/cats/1.png", Image.fromarray(colour), "PNG")
    for name in (f"{cats}/notes.txt", f"{dogs}/Thumbs.db", f"{dogs}/.DS_Store"):
        (root / name).write_text("BM no picture")
    (root / dogs / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (root / dogs / "letter.png").write_text("Dear Sir or Madam")
    return grey, colour


def test_a_folder_as_people_have_it(folder, capsys):
    grey, colour = draw_everything(folder)
    with pytest.raises(UserError, match="1 of 11 pictures cannot be used: .*letter.png .broken: "
                       "not PNG, JPEG.*--skip-broken"):
        load_dataset(str(folder), image_size=32)
    capsys.readouterr()
    data = load_dataset(str(folder), image_size=32, skip_broken=True)
    said = capsys.readouterr()
    assert "left out: 2 files besides pictures: My Pictures (1)/Training Set/cats/notes" in (
        said.out)
    assert "left out: 1 picture of other formats than PNG, JPEG, WebP, GIF, BMP or" in said.out
    assert "dogs/phone.HEIC" in said.out and "letter.png" in said.err
    assert "valid is not used, as TESTING holds the test images" in said.out
    assert data.class_names == ("cats", "dogs", "newts")
    assert data.labels.tolist() == [0] * 4 + [1] * 5 + [2]
    assert data.test_labels.tolist() == [0, 1] and data.images.shape == (10, 32, 32, 3)
    greys, red = np.dstack([grey] * 3), colours((32, 32), (255, 0, 0))
    white = colours((32, 32), 255)
    expected = [colour, greys, colour, red,  # cats: "2", "2019/…", "IMG 1.jpg", "print.jpeg"
                greys, white, colour, colour, colour, colour]
    for image, one in zip(data.images, expected, strict=True):
        np.testing.assert_allclose(image, one, atol=6)


@pytest.mark.slow
def test_a_folder_as_people_have_it_is_trained_on(folder, tmp_path):
    draw_everything(folder)
    run = [*TINY, "--batch-size", 4, "--dataset", folder, "--image-size", 32, "--skip-broken",
           "--fit", "pad"]
    done = run_script("train_gan.py", *run, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data: 10 images of 32 x 32 x 3, 3 classes" in done.stdout
    other = run_script("train_gan.py", "--resume", "--fit", "squash", cwd=tmp_path)
    assert other.returncode == 2
    assert "--fit: the run to resume has pad, got: squash" in other.stderr
    again = run_script("train_gan.py", "--resume", "--epochs", 2, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_fit_needs_pictures(tmp_path, tiny_npz):
    for name in ("mnist", str(tiny_npz)):
        with pytest.raises(UserError, match="--fit: expected a --dataset folder of pictures with"):
            load_dataset(name, fit="pad")
