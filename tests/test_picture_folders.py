"""Folders of pictures as people have them: any depth, any spelling, and other files in between."""

import json
import os
import re
import zipfile

import numpy as np
import pytest

from gan.data import decoding
from gan.data.datasets import load_dataset
from gan.data.layout import SPLITS
from tests.conftest import assert_refused
from tests.test_pictures import RAMP, shades, write, write_all


@pytest.mark.parametrize(("part", "names"), [
    ("train", "train Train TRAINING training trn train2017 train_images Train-Set TrainData"),
    ("test", "test Test TESTING testing tst tests test_2019 Test-Images"),
    ("validation", "val Val VALID valid validation Validation validate dev Dev_set eval val2017"),
    (None, "trains trainer contest testimony valley device latest strain")])
def test_parts_in_any_spelling(part, names):
    for name in names.split():
        found = [key for key, pattern in SPLITS.items() if pattern.fullmatch(name)]
        assert found == ([part] if part else []), name


@pytest.mark.parametrize(("names", "train", "test", "said"), [
    ("1 2", "0 1", "", ""),
    # The first level with several folders tells the classes.
    ("cat/1 ant/2 cat/3 .hidden/4", "ant1 cat0 cat2", "", ""),
    ("a/p/cat/1 a/p/cat/2019/June/2 a/p/dog/old/3 a/p/dog/4", "cat0 cat1 dog3 dog2", "",
     "the classes are the folders in a/p/"),
    ("download/faces/all/1 download/faces/all/2", "0 1", "", ""),
    # Training and test pictures.
    ("train/a/1 train/b/2 test/b/3 test/b/4", "a0 b1", "b2 b3", ""),
    ("set/Train/images/a/1 set/Train/images/b/2 set/TESTING/images/b/3 set/TESTING/images/b/4",
     "a0 b1", "b2 b3", "the folders in set/ and images/"),
    ("cat/train/1 cat/test/2 dog/Train/x/3 dog/test/4", "cat0 dog2", "cat1 dog3",
     "within the others are parts"),
    ("train/1 train/2 test/3 test/x/4 test/y/5", "0 1", "2 3 4", ""),
    ("train/a/1 train/b/2 test/3 test/4", "a0 b1", "2 3", ""),
    ("train/a/1 train/b/2", "a0 b1", "", "the classes are the folders in train/")])
def test_pictures_and_their_classes(folder, capsys, names, train, test, said):
    write_all(folder, [f"{name}.png" for name in names.split()])
    (folder / "docs").mkdir()  # without pictures, it is no part
    (folder / "docs/readme.txt").write_text("")
    data = load_dataset(str(folder))

    def described(images, labels):
        names = [""] * len(images) if labels is None else map(data.class_names.__getitem__, labels)
        return [f"{name}{shade}" for name, shade in zip(names, shades(images), strict=True)]

    assert data.name == "data" and described(data.images, data.labels) == train.split()
    assert (data.test_images is None) == (not test)
    assert not test or sorted(described(data.test_images, data.test_labels),
                              key=lambda text: text[-1]) == test.split()
    *noted, left_out = capsys.readouterr().out.splitlines()
    assert left_out.startswith("left out: 1 file") and len(noted) == bool(said)
    assert said in "".join(noted)


@pytest.mark.parametrize(("names", "expected"), [
    ([], "expected pictures (PNG"), (["only.png"], "expected at least 2 pictures"),
    (["a.png", "b/c.png"], "expected pictures or folders of pictures, got both: a.png and b/"),
    (["a/b/1.png", "a/b/c/2.png"], "got both: a/b/1.png and c/; move the pictures away, or"),
    (["train/1.png", "test/2.png", "a.png"], "got both: a.png and test/"),
    (["train/a/1.png", "train/b/1.png", "test/b/1.png", "test/c/1.png"],
     "test labels: expected labels that occur among the training labels, got: c")])
def test_folders_that_cannot_be_learned_from(folder, names, expected, capsys):
    write_all(folder, names)
    assert_refused(folder, re.escape(expected))
    assert "taken as classes" not in capsys.readouterr().err


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
    assert_refused(folder, "cannot read .*data/b: Permission denied")


# Layouts as data sets come, each folder with three pictures.


@pytest.mark.parametrize(("folders", "classes", "train", "test", "said"), [
    ("seg_train/seg_train/sea seg_train/seg_train/wood seg_test/seg_test/sea seg_pred/seg_pred",
     ("sea", "wood"), 6, "seg_test/seg_test/sea", "the pictures in seg_pred/ are not used"),
    ("fruits/Training/kiwi fruits/Training/lime fruits/Test/kiwi fruits/test-multiple_fruits",
     ("kiwi", "lime"), 6, "fruits/Test/kiwi", "in test-multiple_fruits/ are not used"),
    ("train val", (), 3, "val", ""),
    ("Train Validation Test", (), 3, "Test", "validation pictures are not used"),
    ("images masks", (), 3, "", "3 pictures named masks/ are not used"),
    ("ill/images ill/masks well/images well/masks", ("ill", "well"), 6, "", "named masks/"),
    ("train train_masks test", (), 3, "test", "named train_masks/"),
    ("JPEGImages SegmentationClass", (), 3, "", "named SegmentationClass/"),
    ("with_mask without_mask", ("with_mask", "without_mask"), 6, "", ""),
    ("train/cats train/dogs test/images", ("cats", "dogs"), 6, "test/images",
     "test pictures have no labels"),
    ("train/cats train/dogs test1", ("cats", "dogs"), 6, "test1", ""),
    ("part1 part2", (), 6, "", "part1/, part2/ are taken as pieces of one set"),
    ("0 1", ("0", "1"), 6, "", ""),
    ("cats masks", ("cats", "masks"), 6, "", "masks: taken as classes"),
    ("trainA trainB", ("trainA", "trainB"), 6, "", "trainA, trainB: taken as classes"),
    ("train plane", ("plane", "train"), 6, "", "taken as classes"),
    ("test val", ("test", "val"), 6, "", "taken as classes"),
    ("train Train", ("Train", "train"), 6, "", "taken as classes"),
    ("00000 00001", ("00000", "00001"), 6, "", "taken as classes; if the numbers mean nothing")])
def test_layouts_of_published_sets(folder, capsys, folders, classes, train, test, said):
    names = [f"{name}/{number}.png" for name in folders.split() for number in range(3)]
    write_all(folder, names)
    data = load_dataset(str(folder))
    assert (data.class_names, len(data.images)) == (classes, train)
    found = [] if data.test_images is None else sorted(shades(data.test_images))
    assert found == [shade for shade, name in enumerate(names) if name[:-6] == test]
    printed = capsys.readouterr()
    assert said in printed.out + printed.err and (said or printed == ("", ""))


def test_folders_that_go_on_counting_are_pieces(folder, capsys):
    write_all(folder, [f"{number // 4:05d}/img{number:08d}.png" for number in range(10)])
    data = load_dataset(str(folder))
    assert shades(data.images) == [*range(10)] and data.labels is None
    assert "00000/, 00001/, 00002/ are taken as pieces" in capsys.readouterr().out


def test_a_mask_beside_its_picture_is_not_used(folder):
    write_all(folder, ["a/1.png", "a/1_mask.png", "a/face_mask.png", "b/2 (1).png",
                       "b/2 (1)_seg_2.png"])
    data = load_dataset(str(folder))
    assert shades(data.images) == [0, 2, 3] and data.labels.tolist() == [0, 0, 1]


# Classes from a table.


def table(columns, rows):
    return "\n".join([columns, *rows]) + "\n"


TEN = [f"{number}.png" for number in range(10)]


@pytest.mark.parametrize(("name", "text", "found"), [
    ("dataset.json", json.dumps({"labels": [[name, place % 3] for place, name in enumerate(TEN)]}),
     ("0", "1", "2")),
    ("dataset.json", json.dumps({"labels": {
        name: [int(place % 3 == n) for n in range(3)] for place, name in enumerate(TEN)}}),
     ("0", "1", "2")),
    ("labels.csv", table("id,breed", [f"{place},{'abc'[place % 3]}" for place in range(10)]),
     ("a", "b", "c")),
    ("labels.csv", table(f"any/where/{TEN[0]},a", [f"any/where/{place}.png,{'abc'[place % 3]}"
                                                   for place in range(1, 10)]), ("a", "b", "c")),
    ("Train.csv", table("width;Image;label",
                        [f"16;{place}.png;{place % 3 * 5}" for place in range(10)]),
     ("0", "5", "10")),
    ("metadata.jsonl", "".join(json.dumps({"file_name": name, "label": "abc"[place % 3]}) + "\n"
                               for place, name in enumerate(TEN)), ("a", "b", "c")),
    ("metadata.csv", table("\ufefffile_name,a,b,c", [
        f"./{place}.png,{','.join(str(int(place % 3 == n)) for n in range(3))}"
        for place in range(10)]), ("a", "b", "c")),
    # Without classes, which is said.
    ("dataset.json", '{"labels": null}', "names 0 of 10 pictures; it is not used"),
    ("dataset.json", "[[[[", "cannot be read"),
    ("labels.csv", "", "names 0 of 10 pictures; it is not used"),
    ("labels.csv", "\0\1\n\2", "it is not used"),
    ("labels.csv", table("id,label", ["1,a", "2,b", "x,c"]), "names 2 of 10 pictures"),
    ("metadata.csv", table("file_name,text", [f"{name},about {name}" for name in TEN]),
     "column text has 10 values for 10 pictures, which are no classes"),
    ("train.csv", table("file,x,y", [f"{name},1,{name}" for name in TEN]),
     "no column is called label or class")])
def test_classes_in_a_table(folder, capsys, name, text, found):
    write_all(folder, TEN)
    (folder / name).write_text(text)
    data, said = load_dataset(str(folder)), "".join(capsys.readouterr())
    if isinstance(found, str):
        assert data.labels is None and found in said
    else:
        assert data.class_names == found and f"{name}: the classes are " in said
        assert data.labels.tolist() == [place % 3 for place in range(10)]


def test_a_table_tells_the_classes_of_its_own_part(folder, capsys):
    write_all(folder, ["train/1.png", "train/2.png", "train/3.png", "test/1.png", "test/2.png"])
    (folder / "train.csv").write_text("file,label\n1.png,a\n2.png,b\n")
    (folder / "test.csv").write_text("file,label\n1.png,b\n2.png,a\n")
    data = load_dataset(str(folder))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1]
    assert data.test_labels.tolist() == [4 - shade for shade in shades(data.test_images)]
    assert "1 of 3 pictures have no label" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("labels.csv", table("file,label", [f"{name},a|b" for name in TEN]), "one class for each"),
    ("labels.csv", table("file,a,b", [f"{name},1,1" for name in TEN]), "one class for each"),
    ("labels.csv", table("file,a,b,c", [f"{name},1,1,-1" for name in TEN]), "got several"),
    ("labels.csv", table("file,label", [*(f"{name},a b" for name in TEN[:5]), "5.png,a",
                                        *(f"{name},b" for name in TEN[6:])]), "got several"),
    ("labels.csv", table("file,label", [*(f"{name},a" for name in TEN), "0.png,b"]), "at 0.png"),
    ("labels.csv", table("file,age", [f"{name},{len(name)}.5" for name in TEN]),
     "got numbers such as 5.5; write names of ranges"),
    ("dataset.json", json.dumps({"labels": [[name, [1, 1]] for name in TEN]}), "got several")])
def test_several_or_continuous_labels_are_refused_with_advice(folder, name, text, expected):
    write_all(folder, TEN)
    (folder / name).write_text(text)
    assert_refused(folder, f"{re.escape(expected)}.*away to train without")


# Zip archives.


def packed(folder, members):
    """Write a zip archive of (name, content, compression) beside a folder."""
    path = folder.parent / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, compression in members:
            archive.writestr(name, content, compression)
    return path


def test_a_zip_archive_is_read_as_its_folder(folder):
    write_all(folder, ["train/a/1.png", "train/b/2.png", "test/b/3.png", "test/b/__4.png"])
    files = [path for path in folder.rglob("*") if path.is_file()]
    path = packed(folder, [(path.relative_to(folder).as_posix(), path.read_bytes(), kind)
                           for path, kind in zip(files, (0, 8, 8, 0), strict=True)]
                  + [("__MACOSX/train/1.png", b"x", 0), ("../../train/.5.png", b"x", 0)])
    for _ in range(2):  # the second time from the cache
        data, unpacked = load_dataset(str(path)), load_dataset(str(folder))
        assert data.name == "photos" and data.class_names == ("a", "b")
        np.testing.assert_array_equal(data.images, unpacked.images)
        np.testing.assert_array_equal(data.test_images, unpacked.test_images)
    assert data.fingerprint == unpacked.fingerprint
    assert load_dataset(str(path), image_size=20).images.shape == (2, 20, 20, 1)


@pytest.mark.parametrize(("content", "kind", "expected"), [
    (bytes(2**21), zipfile.ZIP_DEFLATED, "expected at most 1 MiB"),
    (bytes(10), zipfile.ZIP_BZIP2, "encrypted, or packed by another"),
    (b"no picture", zipfile.ZIP_STORED, "broken: not PNG")])
def test_what_a_zip_archive_should_not_hold(folder, monkeypatch, content, kind, expected):
    monkeypatch.setattr(decoding, "MOST_PACKED_BYTES", 2**20)
    write_all(folder, ["1.png", "2.png"])
    path = packed(folder, [("1.png", (folder / "1.png").read_bytes(), 0),
                           ("2.png", (folder / "2.png").read_bytes(), 0), ("3.png", content, kind)])
    assert_refused(path, f"1 of 3 pictures cannot be used: 3.png .{expected}")
