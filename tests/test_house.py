"""The rules of the house: which room may enter which, and what starts fast."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# From the ground floor up; a room imports from those below it only.
FLOORS = [
    {"__init__", "errors", "toy"}, {"options", "files", "signals", "device"},
    {"config", "archive"},
    {"images", "metrics", "sampling", "losses", "layers", "progress",
     "saved_generator", "checkpoint", "orientation", "verdict"},
    {"pictures", "optimizer", "augment", "models", "ownership", "gif", "plots"},
    {"datasets", "board", "run_folder", "gallery"}, {"conditioning", "classifier", "export"},
    {"evaluators", "training"},
    {"evaluate", "history"}, {"loop"},
]
LIGHT = {"errors", "toy", "options", "files", "signals", "config", "archive", "images", "gif",
         "pictures", "datasets", "metrics", "checkpoint", "run_folder", "conditioning",
         "progress", "orientation", "verdict", "ownership"}


def gan_imports(path):
    """Names of the modules of `gan` that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gan":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gan."):
            yield node.module.split(".")[1]


def test_every_room_has_a_floor():
    rooms = {path.stem for path in (ROOT / "gan").glob("*.py")}
    assert rooms == set().union(*FLOORS)


def test_imports_run_one_way():
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    for room, floor in floor_of.items():
        for imported in gan_imports(ROOT / "gan" / f"{room}.py"):
            if imported.startswith("__"):
                continue
            # The commands `python -m gan.…` may use what a script uses.
            if room in {"evaluate", "classifier"} and floor_of[imported] <= floor:
                continue
            assert floor_of[imported] < floor, f"{room} imports {imported}"


def test_no_room_is_larger_than_a_chapter():
    for path in (ROOT / "gan").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 380, path.name


def loaded_modules(code):
    command = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_light_rooms_do_not_load_tensorflow(module):
    assert not {"tensorflow", "keras"} & loaded_modules(f"import gan.{module}")


@pytest.mark.parametrize("script", ["train_gan", "generate", "make_gif"])
def test_help_needs_nothing_heavy(script):
    code = f"""
sys.argv = ['{script}.py', '--help']
import {script}
try: {script}.main()
except SystemExit as done: assert done.code == 0"""
    done = subprocess.run([sys.executable, "-c", f"import sys{code}\nprint(*sys.modules)"],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
    heavy = {"tensorflow", "keras", "matplotlib", "imageio"}
    assert not heavy & set(done.stdout.split("\n")[-2].split())


def test_run_time_packages_are_the_agreed_ones():
    names = {line.split(">")[0].strip() for line in (ROOT / "requirements.txt").read_text().split()
             if line[0].isalpha()}
    assert names == {"tensorflow", "numpy", "matplotlib", "tqdm", "imageio"}
