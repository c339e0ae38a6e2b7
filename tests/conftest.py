"""Small data and small runs that many tests share."""

import contextlib
import dataclasses
import fcntl
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from gan.common import errors
from gan.common.device import import_tensorflow, share_cores
from gan.config import Facts, TrainConfig
from gan.data.conditions import condition_dataset
from gan.data.datasets import load_dataset
from gan.evaluate import evaluator
from gan.generator import SavedGenerator
from gan.run.options import parse_options

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
TINY = ["--base-channels", "4", "--latent-dim", "8", "--batch-size", "16", "--num-samples", "9",
        "--mixed-precision", "off", "--augment", "none"]
QUICK = ["--arch", "mlp", "--clusters", "1", "--epochs", "1", "--metrics-interval", "0",
         "--gradient-penalty", "none"]
LONGEST = ("test_lab", "test_interface", "test_replicas", "test_resume", "test_training",
           "test_playground", "test_evaluator", "test_report", "test_generate")


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that none is left over at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def draw_shapes(count, seed, size=16):
    """Squares (class 0) and crosses (class 1) at random places: uint8, int labels."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, size, size), np.uint8)
    labels = random.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(1, size - 9, 2)
        shade = random.integers(128, 256)
        if label:
            image[top + 3, left : left + 8] = shade
            image[top : top + 8, left + 3] = shade
        else:
            image[top : top + 8, left : left + 8] = shade
    return images, labels


def noise(count, seed=0, size=16, low=0, high=256, channels=1):
    """Images of random pixels: uint8."""
    return np.random.default_rng(seed).integers(low, high, (count, size, size, channels), np.uint8)


def frames_of(path):
    """Yield (gray levels [H, W], milliseconds) of the frames of an animation."""
    with Image.open(path) as animation:
        for index in range(animation.n_frames):
            animation.seek(index)
            yield np.asarray(animation.convert("L")), animation.info["duration"]


@pytest.fixture(scope="session", autouse=True)
def shared(tmp_path_factory):
    """A folder of all processes of the tests, with a cache, so that they leave the user's alone."""
    # Matplotlib keeps a list of fonts in the same place, which takes seconds to make.
    os.environ.setdefault("MPLCONFIGDIR", matplotlib.get_cachedir())
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    evaluator.COUNT = 1000  # which takes less time
    share_cores()  # before any test computes: other numbers of threads give other bits
    return folder


@pytest.fixture(scope="session")
def mnist():
    return load_dataset("mnist")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright, playwright.chromium.launch(
            executable_path=CHROMIUM) as started:
        yield started


@pytest.fixture
def open_page(browser):
    """A function that loads a file in a window; below 600 pixels it is a phone with touch.

    The page's `errors` are those of its console, its `requests` the other addresses asked for:
    of either there may be none in the end.
    """
    def load(path, width=1100, height=800, dark=False):
        phone = width < 600
        page = contexts.enter_context(browser.new_context(
            viewport={"width": width, "height": height}, is_mobile=phone, has_touch=phone,
            color_scheme="dark" if dark else "light")).new_page()
        page.errors, page.requests, address = [], [], Path(path).resolve().as_uri()
        pages.append(page)

        def note_message(message):
            if message.type == "error":
                page.errors.append(message.text)

        def note_request(request):
            if request.url != address and not request.url.startswith(("data:", "blob:")):
                page.requests.append(request.url)

        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", note_message)
        page.on("request", note_request)
        page.goto(address)
        return page

    pages = []
    with contextlib.ExitStack() as contexts:
        yield load
        for page in pages:
            assert page.errors + page.requests == []


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory):
    """An .npz data set of 320 labelled 16-pixel images and 64 test images."""
    path = tmp_path_factory.mktemp("data") / "shapes.npz"
    x_train, y_train = draw_shapes(320, 0)
    x_test, y_test = draw_shapes(64, 1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def run_python(*arguments, cwd, **settings):
    """Run Python with success in a process of its own; returns the completed process."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True,
                          text=True, timeout=300, **settings)
    assert done.returncode == 0, done.stderr
    return done


def run_script(name, *arguments, cwd):
    """Run one of the scripts with success, as a user would; returns the completed process."""
    return run_python(ROOT / name, *arguments, cwd=cwd)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """A function that runs a script in this process and an empty folder: (code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr("sys.argv", [script, *map(str, arguments)])
        main = importlib.import_module(script.removesuffix(".py")).main
        with pytest.raises(SystemExit) as caught:
            errors.run_script(script, main)
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command):
    """A function that runs a script with wrong input and returns its one line of complaint."""
    def run(script, *arguments):
        code, _, complaint = command(script, *arguments)
        (line,) = complaint.splitlines()
        assert code == 2 and line.startswith(f"{script}: error: "), complaint
        return line

    return run


def assert_error(message, function, *arguments, **settings):
    """Assert that a call ends in a `UserError` that a regular expression fits."""
    with pytest.raises(errors.UserError, match=message):
        function(*arguments, **settings)


def assert_refused(path, message, **settings):
    """Assert that a data set is refused in words that a regular expression fits."""
    assert_error(message, load_dataset, str(path), **settings)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for pictures, beside a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def succeed(command):
    """A function that runs a script with success and returns what it printed."""
    def run(script, *arguments):
        code, output, complaint = command(script, *arguments)
        assert code == 0, complaint
        return output

    return run


@pytest.fixture
def trained(succeed):
    """A function that runs train_gan.py with success and returns what it printed."""
    return functools.partial(succeed, "train_gan.py")


def wait_for(page, script):
    """Wait until a JavaScript expression is true.

    Playwright's `wait_for_function` is blocked by the Content Security Policy of the pages.
    """
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(PlaywrightError):  # asked while the page was replaced
            if page.evaluate(script):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"not within a minute: {script}")


def heed_signals():
    """Undo what `nohup` and background shells hand on: ignored signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def complete(config, shape, background=None, gpu=False):
    """The complete configuration for unlabeled samples of a shape."""
    return config.completed(Facts(shape, None, background, gpu))


def build(dataset, *options, streamed=False, replicas=None, **settings):
    """Build the trainer of a run of the tiny networks on a data set or what a path names."""
    from gan.distributed.replica import SINGLE
    from gan.training import build_trainer

    given = ["--dataset", str(dataset)] if isinstance(dataset, str | Path) else []
    config, _ = parse_options([*TINY, *given, *map(str, options)])
    dataset = load_dataset(str(dataset)) if given else dataset
    config = dataclasses.replace(config.for_data(dataset), **settings)
    conditioning = condition_dataset(dataset, config.condition, config.clusters, config.seed,
                                     config.components)
    return build_trainer(config, dataset, conditioning, streamed, replicas or [SINGLE])[0]


@pytest.fixture(scope="session")
def tiny_run(tiny_npz, shared):
    """The folder of a finished run of two epochs, which nobody may change.

    What the run printed is beside it, in `run.txt`.
    """
    folder = shared / "run"
    with open(shared / "run.lock", "w") as lock:  # the first process makes it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            done = run_script("train_gan.py", "--dataset", tiny_npz, *TINY, "--epochs", 2,
                              "--clusters", 2, "--augment", "adaptive", "--tensorboard", cwd=folder)
            # No bar in a file, no noise from TensorFlow.
            assert done.stderr == ""
            folder.with_suffix(".txt").write_text(done.stdout)
    return folder


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch):
    """A copy of the tiny run, "run" in the current folder, which a test may change."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture(scope="session")
def saved(tiny_run, tensorflow):
    """The generator of the tiny run."""
    return SavedGenerator(tiny_run / "exported_model")


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow, imported as the scripts do it, with the same kernels."""
    import_tensorflow(verbose=False)
    import tensorflow as tf

    return tf


@pytest.fixture(scope="session")
def make_export(tensorflow, tmp_path_factory):
    """A function that exports an untrained generator of strong contrasts."""
    from gan.data.conditions import Conditioning
    from gan.export import export_generator
    from gan.models import build_generator
    from gan.sampling import Sampler

    def make(class_of, arch="dcgan", shape=(16, 16, 1), options=None, **metadata):
        folder = tmp_path_factory.mktemp("export") / "exported_model"
        count = 1 if class_of is None else len(class_of)
        parts = np.array([[number, count] for number in range(count)] if count > 1 else [[0]])
        conditioning = Conditioning(
            np.zeros(4, np.int32), np.full(count, 1 / count, np.float32), parts,
            "labels" if class_of else "none", np.array(class_of) if class_of else None)
        tensorflow.keras.utils.set_random_seed(3)
        options = dict(options or {})
        background = options.pop("background", None)
        config = TrainConfig(arch=arch, latent_dim=8, base_channels=2, blocks=2, **options)
        generator = build_generator(config, shape, parts.max() + 1, background=background)
        for weights in generator.trainable_variables:
            weights.assign(5 * weights)
        export_generator(folder, Sampler(generator, conditioning, 8), {
            "sample_shape": list(shape), "latent_dim": 8, "class_names": [], "config": {
                "dataset": "x", "image_size": None, "channels": None, "skip_broken": False,
                "condition": "labels" if class_of else "none"}, **metadata})
        return folder

    return make
