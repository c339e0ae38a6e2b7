"""What the README promises about options and commands is what the scripts have."""

import dataclasses
import re

import generate
import make_gif
from gan.config import TrainConfig
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_every_training_option_is_in_its_table_with_its_default():
    for field in dataclasses.fields(TrainConfig):
        name = "--" + field.name.replace("_", "-")
        row = re.search(rf"^\| `{name}[ `].*$", README, re.MULTILINE)
        assert row, name
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row[0])[1:-1]]
        value = field.default
        shown = "" if value is None or value is False else (
            f"{value:g}" if isinstance(value, float) else str(value))
        assert cells[1].strip("`") == shown, name
        assert cells[2].replace("\\|", "|") == field.metadata["help"], name


def test_every_option_of_the_other_scripts_is_in_the_readme(monkeypatch, capsys):
    for script in (generate, make_gif):
        monkeypatch.setattr("sys.argv", ["script", "--help"])
        try:
            script.parse()
        except SystemExit:
            text = capsys.readouterr().out
        for name in set(re.findall(r"--[a-z][a-z-]*", text)) - {"--help", "--version"}:
            assert re.search(rf"^\| `{name}[ `]", README, re.MULTILINE), name


def test_every_option_named_in_the_readme_exists():
    known = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(TrainConfig)}
    scripts = "".join((ROOT / name).read_text() for name in
                      ("generate.py", "make_gif.py", "gan/evaluate.py", "gan/train_classifier.py"))
    known |= set(re.findall(r'"(--[a-z-]+)"', scripts)) | {"--help", "--version"}
    for name in set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", README)):
        assert name.replace("_", "-") in known, name


def test_every_linked_file_exists():
    for target in re.findall(r"\]\((?!http)([^)#\s=]+)\)", README):
        assert (ROOT / target).exists(), target
