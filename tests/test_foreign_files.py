"""Files that this project did not write are never replaced or removed."""

import contextlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.run.folder import MANIFEST, RunFolder, claimed, is_listed
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
    for name in [*FOREIGN, *UNTOUCHED, "generated/seed_000000.png", "grid.png", "a.gif"]:
        write(tmp_path, name)
    before = contents(tmp_path)
    model = ["--model", tiny_run[0] / "exported_model"]
    for script, *arguments in (
        ["train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1],
        ["train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 1, "--overwrite"],
        ["train_gan.py", "--resume"], ["generate.py", *model],
        ["generate.py", *model, "--output", "grid.png"],
        ["generate.py", *model, "--output", "a.gif", "--interpolate", "0,1"], ["make_gif.py"],
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


@pytest.mark.parametrize("left", ["exported_model", "generated_images", "checkpoints"])
def test_any_folder_of_a_run_is_a_run(tiny_run, tmp_path, left):
    shutil.copytree(tiny_run[0] / left, tmp_path / left)
    folder = RunFolder(tmp_path)
    folder.check()
    assert folder.holds_run()


@pytest.mark.parametrize("left", ["history.csv", "summary.json", "report.html"])
def test_a_file_of_a_run_elsewhere_is_kept(tiny_run, tmp_path, left):
    shutil.copy(tiny_run[0] / left, tmp_path / left)
    folder = RunFolder(tmp_path)
    with pytest.raises(UserError, match=f"{left}: train_gan.py did not write this"):
        folder.check()
    folder.clear()
    assert (tmp_path / left).exists()


def test_a_film_is_a_trace_of_a_run_and_a_foreign_one_is_not(tiny_run, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(tiny_run[0], run)
    elsewhere.mkdir()
    for folder in (run, elsewhere):
        done = run_script("make_gif.py", "--images", tiny_run[0] / "generated_images", "--output",
                          folder / "training.gif", cwd=tmp_path)
        assert done.returncode == 0
    assert run / "training.gif" in RunFolder(run).own_files()
    shutil.copytree(run, tmp_path / "replaced")
    RunFolder(run).clear()
    assert not (run / "training.gif").exists()
    Image.new("L", (8, 8)).save(tmp_path / "replaced/training.gif")
    RunFolder(tmp_path / "replaced").clear()
    assert contents(tmp_path / "replaced").keys() == {"training.gif"}
    folder = RunFolder(elsewhere)
    folder.check()
    assert not folder.holds_run()
    folder.clear()
    assert contents(elsewhere).keys() == {"training.gif"}


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


@pytest.fixture
def copied(tiny_run, tmp_path):
    """A copy of a finished run, and a folder of somebody else's files beside it."""
    shutil.copytree(tiny_run[0], tmp_path / "run")
    for name in ("epoch_0001.png", "notes.txt", "step_000000001.npz"):
        write(tmp_path / "elsewhere", name)
    return tmp_path / "run", tmp_path / "elsewhere"


def list_in(folder, *names):
    with open(folder / MANIFEST, "a") as file:
        file.writelines(f"{name}\n" for name in names)


def test_a_moved_run_keeps_its_files(copied):
    run, _ = copied
    moved = run.with_name("moved")
    run.rename(moved)
    files = {*contents(moved)}
    folder = RunFolder(moved)
    folder.check()
    unlisted = {name for name in files if name.startswith("exported_model/")
                or name.endswith(MANIFEST)}
    assert {path.relative_to(moved).as_posix() for path in folder.own_files()} == files - unlisted
    folder.clear()
    assert contents(moved) == {}


@pytest.mark.parametrize("name", ["config.json", "history.csv", "summary.json", "report.html"])
def test_a_file_of_a_run_that_was_replaced_stays(copied, name):
    run, _ = copied
    write(run, name)
    with pytest.raises(UserError, match=f"{name}: train_gan.py did not write this"):
        RunFolder(run).check()
    RunFolder(run).clear()
    assert contents(run).keys() == {name}


@pytest.mark.parametrize("name", ["../elsewhere/notes.txt", "generated_images/../../elsewhere/"
                                  "notes.txt", "..", ".", "", "manifest.txt", "notes", "x\0y",
                                  "sub/notes.txt", "/etc/hostname", "elsewhere", "link"])
def test_a_forged_manifest_deletes_nothing_outside(copied, name):
    run, elsewhere = copied
    (run / "notes").mkdir()
    write(run, "sub/notes.txt")
    write(run, "notes/mine.txt")
    (run / "link").symlink_to(elsewhere / "notes.txt")
    before = contents(elsewhere)
    list_in(run, name, str(elsewhere / "notes.txt"))
    folder = RunFolder(run)
    folder.check()
    folder.clear()
    assert contents(elsewhere) == before
    assert (run / "sub/notes.txt").exists() and (run / "notes/mine.txt").exists()
    assert (run / "link").is_symlink()


@pytest.mark.parametrize("name", ["generated_images", "checkpoints", "tensorboard",
                                  "exported_model"])
@pytest.mark.parametrize("content", ["files", "nothing", "another run", "a copy", "its folder"])
def test_a_link_to_a_folder_of_others_is_refused(copied, tiny_run, name, content):
    run, elsewhere = copied
    shutil.rmtree(run / name)
    if content == "nothing":
        elsewhere = run.with_name("empty")
        elsewhere.mkdir()
    elif content in ("a copy", "its folder"):  # with the same identifier
        shutil.copytree(tiny_run[0], run.with_name("copy"))
        elsewhere = run.with_name("copy") / ("" if content == "its folder" else name)
    elif content == "another run":
        elsewhere = run.with_name("other")
        shutil.copytree(tiny_run[0], elsewhere)
        for path in elsewhere.rglob("*"):
            if path.name in (MANIFEST, "gan.json"):
                path.write_text(path.read_text().replace(RunFolder(run).run, "0" * 32))
        elsewhere /= name
    else:
        list_in(run, "notes.txt", "epoch_0001.png")
    (run / name).symlink_to(elsewhere)
    before = contents(elsewhere)
    folder = RunFolder(run)
    with pytest.raises(UserError, match=f"({name}|saved_model).*: train_gan.py did not write"):
        folder.check()
    with contextlib.suppress(UserError):
        folder.claim(run / name / "step_000000009.npz")
    RunFolder(run).clear()
    assert contents(elsewhere) == before


@pytest.mark.parametrize("name", ["history.csv", "report.html", "checkpoints/best.npz",
                                  "generated_images/epoch_0009.png", "manifest.txt",
                                  "checkpoints/manifest.txt"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_link_in_the_place_of_a_file_is_refused(copied, name, listed):
    run, elsewhere = copied
    path = run / name
    path.unlink(missing_ok=True)
    if listed and path.name != MANIFEST:
        list_in(path.parent, path.name)
    path.symlink_to(elsewhere / "notes.txt")
    before = contents(elsewhere)
    folder = RunFolder(run)
    with pytest.raises(UserError, match=f"{name}: train_gan.py did not write this"):
        folder.check()
    with pytest.raises(UserError, match=f"{name}: train_gan.py did not write this"):
        folder.claim(path)
    assert contents(elsewhere) == before and path.is_symlink()


def test_a_manifest_of_somebody_else_stays(tmp_path):
    for text in ("notes\n", "# Run x wrote these files\n", " "):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(UserError, match="manifest.txt: train_gan.py did not write this"):
            RunFolder(tmp_path).check()
        with claimed(tmp_path / "training.gif"):
            pass
        assert (tmp_path / MANIFEST).read_text() == text and not is_listed(tmp_path / MANIFEST)


def test_a_process_killed_while_it_listed_a_file_leaves_a_usable_manifest(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim(folder.config)  # killed before it was written
    with open(tmp_path / MANIFEST, "a") as file:
        file.write("history.c")  # killed while it was listed
    (tmp_path / "history.c").write_text("mine")
    folder = RunFolder(tmp_path)
    folder.check()
    assert folder.own_files() == [] and not folder.holds_run()
    folder.claim(folder.history).write_text("ours")
    folder.check()
    assert RunFolder(tmp_path).own_files() == [folder.history]
    RunFolder(tmp_path).clear()
    assert contents(tmp_path) == {"history.c": b"mine"}


def test_a_manifest_that_is_deleted_during_the_run_is_written_again(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim(folder.config).write_text("ours")
    (tmp_path / MANIFEST).unlink()
    folder.claim(folder.history).write_text("ours")
    assert RunFolder(tmp_path).own_files() == [folder.config, folder.history]


def test_a_checkpoint_that_no_run_listed_is_not_rotated_away(tmp_path):
    from tests.test_faults import checkpoint

    folder = RunFolder(tmp_path)
    for step in range(5, 9):
        checkpoint(step).save(folder)
        write(tmp_path, "checkpoints/step_000000001.npz")
    assert {path.name for path in folder.checkpoints.iterdir()} == {
        MANIFEST, "step_000000001.npz", "step_000000007.npz", "step_000000008.npz"}


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
