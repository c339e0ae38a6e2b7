"""The cache of pictures and networks: listed, limited, cleared, and nothing else touched."""

import json
import os

import numpy as np
import pytest

from gan import cache
from gan.common.archive import write_archive
from gan.common.errors import UserError, run_script
from gan.data import picture_cache
from gan.data.datasets import load_dataset
from tests.test_pictures import cached, write


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_cache, "_in_use", set())


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `python -m gan.cache` and returns its code and its output."""
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["cache", *arguments])
        with pytest.raises(SystemExit) as caught:
            run_script("gan.cache", cache.main)
        return caught.value.code, capsys.readouterr()

    return run


def make_folder(folder, count=4):
    for number in range(count):
        write(folder / f"{number}.png", np.full((16, 16), number, np.uint8))
    return str(folder)


def foreign_files(folder):
    """Files of somebody else's, some under names that this project uses."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("thesis.txt", "pictures_mine.bin", "pictures_0123456789abcdef.bin",
             "pictures_0123456789abcdef.json", "pictures_fedcba9876543210.json",
             "classifier_0123456789abcdef.npz", "classifier_fedcba9876543210.npz.bak",
             "learned_0123456789abcdef.npz", "learned_mine.npz", ".gan-partial-mine")
    for name in names:
        (folder / name).write_text('{"mine": true}')
    (folder / "pictures_00000000000000ff.bin").mkdir()
    return {folder / name: (folder / name).read_bytes() for name in names}


def test_an_empty_cache(command, tmp_path):
    code, said = command()
    assert not code and said.out == (
        f"{tmp_path}/cache/gan: 0 files, 0 bytes (pictures may take 10 GiB)\n")
    assert not command("--clear")[0]


def test_the_cache_is_listed_and_cleared_and_foreign_files_stay(command, tmp_path, capsys):
    load_dataset(make_folder(tmp_path / "photos"))
    folder = tmp_path / "cache" / "gan"
    for name in ("classifier", "learned"):
        write_archive(folder / f"{name}_00112233445566aa.npz", {"a": np.zeros(3)}, {"dataset": "x"})
    foreign = foreign_files(folder)
    own = set(cached(tmp_path)) - set(foreign)
    capsys.readouterr()
    code, said = command()
    (pictures,) = (path for path in own if path.is_file())
    lines = said.out.splitlines()
    assert not code and len(lines) == 4
    assert lines[0] == f"{pictures}  1.0 KiB  pictures 4 x 16 x 16 x 1 {tmp_path}/photos"
    assert "classifier_00112233445566aa.npz  " in lines[1] and lines[1].endswith("  classifier")
    assert "learned_00112233445566aa.npz  " in lines[2]
    assert lines[2].endswith("  features learned without labels")
    assert lines[3].startswith(f"{folder}: 3 files, 1.")
    code, said = command("--clear")
    assert not code and said.out.count("removed  ") == 3
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == foreign
    assert (folder / "pictures_00000000000000ff.bin").is_dir()


def test_a_cleared_cache_is_made_anew(command, tmp_path):
    before = np.array(load_dataset(make_folder(tmp_path / "photos")).images)
    command("--clear")
    assert cached(tmp_path) == []
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "photos")).images, before)
    assert len(cached(tmp_path)) == 1


def test_caches_of_the_first_version_are_known(command, tmp_path):
    folder = tmp_path / "cache" / "gan"
    folder.mkdir(parents=True)
    (folder / "pictures_0011223344556677.bin").write_bytes(bytes(256))
    (folder / "pictures_0011223344556677.json").write_text(
        json.dumps({"count": 1, "left_out": [], "sha256": "0"}))
    command("--clear")
    assert list(folder.iterdir()) == []


def test_the_oldest_pictures_make_space_for_new_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GAN_CACHE_GIB", str(2.5 * 4 * 256 / 2**30))  # two folders and a half
    foreign = foreign_files(tmp_path / "cache" / "gan")
    made = []
    for number, name in enumerate("abc"):
        load_dataset(make_folder(tmp_path / name))
        (new,) = set(cached(tmp_path)) - set(made) - set(foreign) - {
            tmp_path / "cache" / "gan" / "pictures_00000000000000ff.bin"}
        made.append(new)
        os.utime(new, (1000 + number, 1000 + number))
        picture_cache._in_use.clear()
    assert [path.exists() for path in made] == [False, True, True]
    assert not made[0].with_suffix(".json").exists()
    assert f"removed {made[0]}" in capsys.readouterr().out
    load_dataset(str(tmp_path / "b"))  # used again: c is now the oldest
    picture_cache._in_use.clear()
    load_dataset(make_folder(tmp_path / "d"))
    assert [path.exists() for path in made] == [False, True, False]
    assert {path: path.read_bytes() for path in foreign} == foreign


def test_what_is_in_use_stays_whatever_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE_GIB", "0")
    folder = tmp_path / "data"
    make_folder(folder / "train", 4)
    make_folder(folder / "test", 3)
    data = load_dataset(str(folder))
    assert len(cached(tmp_path)) == 2
    assert data.images[3, 0, 0, 0] == 3 and len(data.test_images) == 3


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_a_limit_that_is_no_number(tmp_path, monkeypatch, command, text):
    monkeypatch.setenv("GAN_CACHE_GIB", text)
    expected = f"GAN_CACHE_GIB: expected a number of GiB from 0 up, got: {text}"
    with pytest.raises(UserError, match=expected):
        load_dataset(make_folder(tmp_path / "data"))
    code, said = command()
    assert code == 2 and expected in said.err


@pytest.mark.parametrize(("size", "words"), [
    (0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**20, "1.0 MiB"),
    (12 * 2**30, "12.0 GiB")])
def test_sizes_in_words(size, words):
    assert cache.in_words(size) == words


def test_help_documents_the_limit(command):
    code, said = command("--help")
    assert not code and "GAN_CACHE_GIB" in said.out and "10 GiB" in said.out
