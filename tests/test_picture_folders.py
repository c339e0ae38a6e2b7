"""Folders of pictures as people have them: any depth, any spelling, and other files in between."""

import os

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.data.datasets import load_dataset
from gan.data.layout import SPLITS
from tests.test_pictures import RAMP, folder, shades, write, write_all

__all__ = ["folder"]  # a fixture


@pytest.mark.parametrize(("part", "names"), [
    ("train", "train Train TRAINING training trn train2017 train_images Train-Set TrainData"),
    ("test", "test Test TESTING testing tst tests test_2019 Test-Images"),
    ("validation", "val Val VALID valid validation Validation validate dev Dev_set eval val2017"),
    (None, "trains trainer contest testimony valley device latest strain"),
])
def test_parts_in_any_spelling(part, names):
    for name in names.split():
        found = [key for key, pattern in SPLITS.items() if pattern.fullmatch(name)]
        assert found == ([part] if part else []), name


@pytest.mark.parametrize(("names", "classes", "labels", "order"), [
    (["1.png", "2.png"], (), None, [0, 1]),
    (["cat/1.png", "ant/2.png", "cat/3.png", ".hidden/4.png"], ("ant", "cat"), [0, 1, 1],
     [1, 0, 2]),
    (["a/p/cat/1.png", "a/p/cat/2019/June/2.png", "a/p/dog/old/3.png", "a/p/dog/4.png"],
     ("cat", "dog"), [0, 0, 1, 1], [0, 1, 3, 2]),
    (["download/faces/all/1.png", "download/faces/all/2.png"], (), None, [0, 1]),
])
def test_the_first_level_with_several_folders_tells_the_classes(
        folder, capsys, names, classes, labels, order):
    write_all(folder, names)
    data = load_dataset(str(folder))
    assert data.name == "data" and data.class_names == classes
    assert (data.labels is None if labels is None else data.labels.tolist() == labels)
    assert shades(data.images) == order
    noted = f"note: {folder}: the classes are the folders in a/p/\n"
    assert capsys.readouterr().out == (noted if names[0][:2] == "a/" else "")


@pytest.mark.parametrize(("names", "expected"), [
    ([], "expected pictures (PNG"), (["only.png"], "expected at least 2 pictures"),
    (["a.png", "b/c.png"], "expected pictures or folders of pictures, got both: a.png and b/"),
    (["a/b/1.png", "a/b/c/2.png"], "got both: a/b/1.png and c/; move the pictures into"),
    (["train/a/1.png", "train/b/1.png", "test/b/1.png", "test/c/1.png"],
     "test labels: expected labels that occur among the training labels, got: c"),
])
def test_folders_that_cannot_be_learned_from(folder, names, expected):
    write_all(folder, names)
    with pytest.raises(UserError) as caught:
        load_dataset(str(folder))
    assert expected in str(caught.value)


@pytest.mark.parametrize(("names", "classes", "train", "test", "test_labels"), [
    (["train/a/1.png", "train/b/2.png", "test/b/3.png", "test/b/4.png"], ("a", "b"), [0, 1],
     [2, 3], [1, 1]),
    (["set/Train/images/a/1.png", "set/Train/images/b/2.png", "set/TESTING/images/b/3.png",
      "set/TESTING/images/b/4.png"], ("a", "b"), [0, 1], [2, 3], [1, 1]),
    (["cat/train/1.png", "cat/test/2.png", "dog/Train/x/3.png", "dog/test/4.png"],
     ("cat", "dog"), [0, 2], [1, 3], [0, 1]),
    (["train/1.png", "train/2.png", "test/3.png", "test/x/4.png", "test/y/5.png"], (), [0, 1],
     [2, 3, 4], None),
    (["train/a/1.png", "train/b/2.png", "test/3.png", "test/4.png"], ("a", "b"), [0, 1], [2, 3],
     None),
    (["train/a/1.png", "train/b/2.png"], ("a", "b"), [0, 1], None, None),
])
def test_training_and_test_pictures_and_their_classes(
        folder, names, classes, train, test, test_labels, capsys):
    write_all(folder, names)
    (folder / "docs").mkdir()  # without pictures, it is no part
    (folder / "docs" / "readme.txt").write_text("")
    data = load_dataset(str(folder))
    assert data.class_names == classes and shades(data.images) == train
    assert ("within the others are parts" in capsys.readouterr().out) == (names[0][:3] == "cat")
    found = None if data.test_images is None else sorted(shades(data.test_images))
    assert found == test
    if test_labels is None:
        assert data.test_labels is None
    else:
        order = np.argsort(shades(data.test_images))
        assert data.test_labels[order].tolist() == test_labels


@pytest.mark.parametrize(("names", "test"), [
    (("train", "val"), "val"), (("training", "Valid"), "Valid"), (("train", "test", "val"), "test"),
    (("Train", "Validation", "Test"), "Test"),
])
def test_validation_pictures_are_test_pictures_where_there_are_no_others(
        folder, names, test, capsys):
    for number, name in enumerate(names):
        for file in ("1.png", "2.png"):
            write(folder / name / file, np.full((16, 16), 10 + 10 * number, np.uint8))
    data = load_dataset(str(folder))
    assert (data.images == 10).all() and (data.test_images == 10 + 10 * names.index(test)).all()
    said = capsys.readouterr()
    assert said.err == "" and ("are not used" in said.out) == (len(names) == 3)


@pytest.mark.parametrize("names", [("train", "plane", "car"), ("test", "val"), ("train", "Train")])
def test_parts_beside_classes_are_classes_and_it_is_said(folder, names, capsys):
    write_all(folder, [f"{name}/1.png" for name in names])
    data = load_dataset(str(folder))
    assert data.class_names == tuple(sorted(names)) and data.test_images is None
    assert "taken as classes" in capsys.readouterr().err


def test_the_first_test_images_are_not_all_of_one_class(folder):
    write_all(folder, ["train/a/1.png", "train/b/2.png",
                       *(f"test/{name}/{number}.png" for name in "ab" for number in range(50))])
    data = load_dataset(str(folder))
    assert 10 < data.test_labels[:50].sum() < 40  # some metrics look at these only
    assert [shade >= 52 for shade in shades(data.test_images)] == data.test_labels.tolist()
    again = load_dataset(str(folder))
    np.testing.assert_array_equal(again.test_images, data.test_images)


def test_other_files_are_counted_and_named_and_hidden_ones_are_not(folder, capsys):
    write_all(folder, ["x/1.png", "y/2.png", ".git/3.png", "x/.thumbs/4.png", "x/._1.png"])
    names = ["notes.txt", "x/list.csv", "y/b\x1b[31m.dat", "z/only.md", *map(str, range(4))]
    for name in (*names, ".DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("BM no picture")
    data = load_dataset(str(folder))
    assert data.class_names == ("x", "y") and len(data.images) == 2
    assert capsys.readouterr().out == (
        "left out: 8 files besides pictures: 0, 1, 2, 3, notes.txt and 3 more\n")


def test_links_are_followed_but_not_in_a_circle(folder, tmp_path):
    write(tmp_path / "elsewhere" / "1.png", RAMP)
    write(folder / "b" / "2.png", RAMP)
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "b" / "loop").symlink_to(folder)
    data = load_dataset(str(folder))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1]


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    write_all(folder, ["a/1.png", "b/2.png"])
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="data/b: cannot be read: Permission denied"):
        load_dataset(str(folder))
