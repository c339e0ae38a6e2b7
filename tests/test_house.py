"""The rules of the house: which room may enter which, and what starts fast."""

import ast
import graphlib
import re
import shutil
import zipfile

import pytest

from tests.conftest import ROOT, run_python

FILES = sorted((ROOT / "gan").rglob("*.py"))
LIGHT = ("gan.config", "gan.generator", "gan.run.folder", "gan.run.checkpoint", "gan.run.options",
         "gan.common.", "gan.data.")


def name_of(path):
    """`gan/data/points.py` → "gan.data.points"; a package is named by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Names of the modules of `gan` that a file imports anywhere in it."""
    modules = {name_of(other) for other in FILES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gan":
            for name in node.names:
                below = f"{node.module}.{name.name}"
                yield below if below in modules else node.module


ROOMS = {name_of(path): set(imports_of(path)) for path in FILES}
COMMANDS = {name_of(path) for path in FILES  # what is started with `python -m`
            if 'if __name__ == "__main__":' in path.read_text()}


# Lowest first: a module imports from its own level and from those above it in this list.
LEVELS = (
    ("gan", "gan.common", "gan.layers", "gan.losses", "gan.augment"),
    ("gan.data", "gan.drawing", "gan.distributed"),
    ("gan.config", "gan.models", "gan.feed", "gan.sampling"),
    ("gan.training", "gan.transfer", "gan.export", "gan.generator", "gan.evaluate", "gan.report",
     "gan.run"),
    ("gan.interface", "gan.runner", "gan.loop", "gan.playground"),
)


def level_of(room):
    """The number of a module's level; a command is above all others."""
    if room in COMMANDS:
        return len(LEVELS)
    wing = ".".join(room.split(".")[:2])
    return next(number for number, wings in enumerate(LEVELS) if wing in wings)


def test_imports_run_one_way_to_lower_levels_and_to_no_command():
    order = graphlib.TopologicalSorter({room: imports - {room} for room, imports in ROOMS.items()})
    order.prepare()  # raises an error that names a circle
    for room, imports in ROOMS.items():
        assert all(level_of(other) <= level_of(room) for other in imports), room
        assert not imports & COMMANDS, room


def test_importing_the_package_starts_nothing_and_light_modules_no_tensorflow():
    modules = sorted(module for module in ROOMS if module.startswith(LIGHT))
    run_python("-c", f"""
import gan, importlib, sys
assert {{"tensorflow", "keras", "numpy"}}.isdisjoint(sys.modules)
for module in {modules}:
    importlib.import_module(module)
    assert {{"tensorflow", "keras"}}.isdisjoint(sys.modules), module""", cwd=ROOT)


@pytest.mark.parametrize("script", ["train_gan.py", "generate.py", "make_gif.py"])
def test_help_needs_nothing_heavy(script):
    done = run_python("-X", "importtime", script, "--help", cwd=ROOT)
    assert "usage:" in done.stdout
    assert not re.search(r"\| +(tensorflow|keras|matplotlib|imageio)$", done.stderr, re.MULTILINE)


def test_run_time_packages_are_the_agreed_ones():
    names = {line.split(">")[0].strip() for line in (ROOT / "requirements.txt").read_text().split()
             if line[0].isalpha()}
    assert names == {"tensorflow", "numpy", "matplotlib", "tqdm", "imageio"}


def test_the_package_can_be_built_with_all_its_files(tmp_path):
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "gan", source / "gan", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.txt"), ROOT / "pyproject.toml",
                 ROOT / "README.md", ROOT / "LICENSE"]:
        shutil.copy(path, source)
    run_python("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path,
               source, cwd=tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    for path in (source / "gan").rglob("*"):
        assert path.is_dir() or str(path.relative_to(source)) in packed, path
    assert {"train_gan.py", "generate.py", "make_gif.py"} <= packed
