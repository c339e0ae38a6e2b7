"""Files that this project did not write are never replaced or removed."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.run.folder import RunFolder
from tests.conftest import TINY, run_script

FOREIGN = ["checkpoints/my_resnet.pt", "checkpoints/step_000001000.npz",
           "exported_model/saved_model.pb", "exported_model/assets.extra/gan.json",
           "tensorboard/events.mine", "tensorboard/events.out.tfevents.1.gan", "config.json",
           "history.csv", "summary.json", "loss_curves.png", "generated_images/epoch_final.png",
           "generated_images/epoch_0001.png", "generated_images/real_samples.png",
           "generated_images/epoch_0000_step_000000004.png", "report.html"]
UNTOUCHED = ["training.gif", ".partial-thesis", ".gan-partial-notes", "checkpoints.txt",
             "generated_images/holiday.png", "notes/epoch_0001.png"]


def write(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".png", ".gif"):
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(path)
    else:
        path.write_text('{"theirs": 1}')


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def train(tiny_npz, folder, *arguments):
    return run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--clusters", 1,
                      "--epochs", 1, *arguments, cwd=folder)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_in_the_way_is_named(tmp_path, name):
    write(tmp_path, name)
    with pytest.raises(UserError, match=f"{name}: train_gan.py did not write this"):
        RunFolder(tmp_path).check()


def test_every_script_leaves_a_folder_full_of_foreign_files_as_it_is(tiny_npz, tiny_run, tmp_path):
    for name in [*FOREIGN, *UNTOUCHED, "generated/grid_2x2.png",
                 "generated/interpolation_seeds_0-1.gif"]:
        write(tmp_path, name)
    before = contents(tmp_path)
    model = ["--model", tiny_run[0] / "exported_model"]
    for script, *arguments in (
        ["train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1],
        ["train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, "--overwrite"],
        ["train_gan.py", "--resume"], ["generate.py", *model, "--grid", "2x2"],
        ["generate.py", *model, "--interpolate", "0,1"], ["make_gif.py"],
        ["make_gif.py", "--output", "generated_images/epoch_0001.png"],
    ):
        done = run_script(script, *arguments, cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (script, arguments)
    assert contents(tmp_path) == before


def test_what_is_not_in_the_way_survives_a_run_and_its_replacement(tiny_npz, tmp_path):
    for name in UNTOUCHED:
        write(tmp_path, name)
    before = contents(tmp_path)
    assert train(tiny_npz, tmp_path).returncode == 0
    write(tmp_path, "checkpoints/my_resnet.pt")  # later, beside a run
    assert train(tiny_npz, tmp_path, "--overwrite").returncode == 0
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert "checkpoints/my_resnet.pt" in after


@pytest.mark.parametrize("left", ["exported_model", "history.csv", "generated_images",
                                  "summary.json", "checkpoints"])
def test_any_trace_of_a_run_is_a_run(tiny_run, tmp_path, left):
    source = tiny_run[0] / left
    (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / left)
    folder = RunFolder(tmp_path)
    folder.check()
    assert folder.holds_run()


def test_a_film_is_a_trace_of_a_run_and_a_foreign_one_is_not(tiny_run, tmp_path):
    done = run_script("make_gif.py", "--images", tiny_run[0] / "generated_images", "--output",
                      tmp_path / "training.gif", cwd=tmp_path)
    assert done.returncode == 0 and RunFolder(tmp_path).holds_run()
    Image.new("L", (8, 8)).save(tmp_path / "training.gif")
    folder = RunFolder(tmp_path)
    folder.check()
    assert not folder.holds_run()
    folder.clear()
    assert (tmp_path / "training.gif").exists()


def test_a_finished_run_without_its_checkpoints_is_not_overwritten(tiny_npz, tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints")
    before = contents(tmp_path)
    done = train(tiny_npz, tmp_path)
    assert done.returncode == 2 and "holds a run; expected --resume" in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["checkpoints", "generated_images", "exported_model"])
def test_links_to_ones_own_folders_work(tiny_run, tmp_path, name):
    run, disk = tmp_path / "run", tmp_path / "disk"
    shutil.copytree(tiny_run[0], run)
    (run / name).rename(disk)
    (run / name).symlink_to(disk)
    folder = RunFolder(run)
    folder.check()
    assert folder.holds_run()
    folder.clear()
    assert not disk.exists() or not [path for path in disk.rglob("*") if path.is_file()]
    assert not folder.holds_run()


@pytest.mark.slow
def test_a_shorter_run_replaces_a_longer_one_behind_a_link(tiny_npz, tiny_run, tmp_path):
    run, disk = tmp_path / "run", tmp_path / "disk"
    shutil.copytree(tiny_run[0], run)
    (run / "checkpoints").rename(disk)
    (run / "checkpoints").symlink_to(disk)
    assert train(tiny_npz, run, "--overwrite").returncode == 0
    assert sorted(path.name for path in disk.iterdir()) == ["step_000000000.npz",
                                                            "step_000000020.npz"]
    assert (run / "checkpoints").is_symlink()


def test_what_cannot_be_removed_is_an_error(tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)

    def fail(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", fail)
    with pytest.raises(UserError, match="cannot remove .*config.json: Permission denied"):
        RunFolder(tmp_path).clear()


def test_a_link_to_foreign_pictures_is_refused(tiny_run, tmp_path):
    run, photos = tmp_path / "run", tmp_path / "photos"
    shutil.copytree(tiny_run[0], run)
    shutil.rmtree(run / "generated_images")
    write(photos, "epoch_0001.png")
    (run / "generated_images").symlink_to(photos)
    with pytest.raises(UserError, match="epoch_0001.png: train_gan.py did not write this"):
        RunFolder(run).check()


@pytest.mark.parametrize("name", ["exported_model", "generated_images", "checkpoints"])
@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_what_should_be_a_folder_and_is_none_is_refused(tmp_path, name, kind):
    if kind == "file":
        (tmp_path / name).write_text("mine")
    else:
        (tmp_path / name).symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=name):
        RunFolder(tmp_path).check()


@pytest.mark.parametrize("name", ["thesis.txt", "saved_model.pb"])
def test_a_file_put_into_an_export_keeps_it(tiny_run, tmp_path, name):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    write(tmp_path, f"exported_model/{name}")
    with pytest.raises(UserError, match=f"exported_model/{name}"):
        RunFolder(tmp_path).check()


def test_a_run_of_version_1_0_is_known_without_marks(tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.png"):
        Image.open(path).save(path)  # without the text
    folder = RunFolder(tmp_path)
    folder.check()
    folder.mark_pictures()
    write(tmp_path, "generated_images/epoch_0009.png")  # not of the run
    with pytest.raises(UserError, match="epoch_0009.png: train_gan.py did not write this"):
        folder.check()
    folder.clear()
    assert contents(tmp_path / "generated_images").keys() == {"epoch_0009.png"}


def test_a_folder_of_pictures_is_not_written_into(tiny_npz, tmp_path):
    for number in range(4):
        Image.fromarray(np.full((16, 16), 60 * number, np.uint8)).save(tmp_path / f"{number}.png")
    for outdir in (".", "below"):
        done = run_script("train_gan.py", "--dataset", tmp_path, *TINY, "--outdir", outdir,
                          cwd=tmp_path)
        assert done.returncode == 2 and "outside of the data" in done.stderr


def test_the_config_of_a_run_is_not_taken_for_another_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"dataset": "mine", "epochs": 3}))
    with pytest.raises(UserError, match="config.json"):
        RunFolder(tmp_path).check()


@pytest.mark.slow
def test_a_run_may_be_named_like_its_data(tmp_path):
    done = run_script("train_gan.py", "--dry-run", "--dataset", "mnist", "--outdir", "mnist",
                      cwd=tmp_path)
    (tmp_path / "mnist").mkdir()
    again = run_script("train_gan.py", "--dry-run", "--dataset", "mnist", "--outdir", "mnist",
                       cwd=tmp_path)
    assert (done.returncode, again.returncode) == (0, 0), again.stderr


def test_a_refused_resumption_changes_nothing(tiny_run, tmp_path):
    shutil.copytree(tiny_run[0], tmp_path, dirs_exist_ok=True)
    before = contents(tmp_path)
    states = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    done = run_script("train_gan.py", "--resume", "--dataset", "ring", cwd=tmp_path)
    assert done.returncode == 2
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in states} == states


def test_a_name_that_is_no_text_is_refused(tmp_path):
    done = run_script("train_gan.py", "--outdir", b"caf\xe9".decode(errors="surrogateescape"),
                      cwd=tmp_path)
    assert done.returncode == 2 and "expected the name of a folder in UTF-8" in done.stderr
