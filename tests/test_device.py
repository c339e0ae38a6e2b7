"""The choice of precision, on machines that this one is not."""

import os

import pytest

from gan.common import device
from gan.common.errors import UserError
from gan.data.datasets import Dataset
from gan.run.options import parse_options
from gan.runner import start_device
from tests.conftest import assert_error, noise


@pytest.fixture
def machine(tensorflow, monkeypatch):
    """A function that pretends a GPU (its compute capability or None) and a processor."""
    def pretend(capability, vendor="", flags=""):
        gpus = [] if capability is None else [
            tensorflow.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
        for name in ("list_physical_devices", "get_visible_devices"):
            monkeypatch.setattr(tensorflow.config, name, lambda *_: gpus)
        monkeypatch.setattr(
            tensorflow.config.experimental, "get_device_details",
            lambda _: {"device_name": "Tesla T4", "compute_capability": capability})
        monkeypatch.setattr(device, "processor", {"vendor_id": vendor, "flags": flags}.get)

    return pretend


AMD = "AuthenticAMD", "avx2 avx512_bf16"


@pytest.mark.parametrize(("option", "capability", "processor", "policy"), [
    ("auto", (7, 5), (), "mixed_float16"),
    ("auto", (7, 0), AMD, "mixed_float16"),
    ("auto", (6, 1), AMD, "float32"),
    ("auto", None, AMD, "mixed_bfloat16"),
    ("auto", None, ("AuthenticAMD", "avx2"), "float32"),
    ("auto", None, ("GenuineIntel", "avx512_bf16"), "float32"),
    ("auto", None, ("GenuineIntel", "avx512_bf16 amx_bf16"), "mixed_bfloat16"),
    ("auto", None, (), "float32"),
    ("off", None, AMD, "float32"),
    ("float16", None, (), "mixed_float16"),
    ("bfloat16", None, (), "mixed_bfloat16")])
def test_precision(machine, option, capability, processor, policy):
    machine(capability, *processor)
    assert device.find_device(option).policy == policy


@pytest.mark.parametrize(("options", "channels", "policy"), [
    ([], 3, "float32"), ([], 1, "mixed_bfloat16"),
    (["--arch", "conv"], 3, "mixed_bfloat16"),
    (["--mixed-precision", "bfloat16"], 3, "mixed_bfloat16")])
def test_residual_networks_run_in_float32_where_bfloat16_is_no_faster(
        machine, options, channels, policy):
    machine(None, *AMD)
    dataset = Dataset("noise", noise(8, channels=channels))
    assert start_device(parse_options(options)[0], dataset).policy == policy


@pytest.mark.parametrize(("cores", "threads"), [(1, ("2", "1")), (2, ("2", "1")), (9, ("2", "4"))])
def test_two_operations_run_at_once_each_on_half_of_the_cores(machine, monkeypatch, cores, threads):
    names = "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"

    def found():
        return tuple(os.environ.get(name) for name in names)

    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device, "cores", lambda: cores)
    machine((7, 5))
    device.import_tensorflow(verbose=False)
    assert found() == (None, None)
    device.find_device("auto", "cpu")
    assert found() == threads

    for name in names:
        monkeypatch.delenv(name)
    machine(None)
    device.import_tensorflow(verbose=False)  # before anything can be computed
    assert found() == threads
    monkeypatch.setenv(names[1], "7")
    device.import_tensorflow(verbose=False)
    device.find_device("auto")
    assert found() == (threads[0], "7")  # what a user has set stays


@pytest.mark.parametrize(("wanted", "policy"), [
    ("auto", "mixed_float16"), ("gpu", "mixed_float16"), ("gpu:0", "mixed_float16"),
    ("cpu", "mixed_bfloat16")])
def test_device_as_asked_for(machine, tensorflow, monkeypatch, wanted, policy):
    machine((7, 5), *AMD)
    visible = []
    monkeypatch.setattr(tensorflow.config, "set_visible_devices",
                        lambda gpus, kind: visible.append((len(gpus), kind)))
    assert device.find_device("auto", wanted).policy == policy
    assert visible == {"auto": [], "cpu": [(0, "GPU")]}.get(wanted, [(1, "GPU")])


def test_gpus_are_described_and_those_that_are_not_there_refused(machine):
    machine((7, 5))
    found = device.find_device("auto")
    assert (found.name, found.gpu) == ("GPU, Tesla T4, compute capability 7.5", True)
    assert not device.find_device("auto", "cpu").gpu
    assert_error("one of the 1 GPUs .* got: gpu:1", device.find_device, "auto", "gpu:1")
    assert_error("--devices: expected at most the 1 GPUs .* got: 2",
                 device.find_device, "auto", count=2)


def test_memory_of_a_container_is_its_share(tmp_path, monkeypatch):
    (tmp_path / "limit").write_text("1000000\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(device, "CONTAINER_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert device.memory_bytes() == 1_000_000


@pytest.mark.parametrize(("error", "shown"), [
    (KeyboardInterrupt(), ""), (UserError("no"), ""), (ImportError("no"), "oneDNN\n")])
def test_hidden_messages_are_shown_if_they_may_explain_an_error(capfd, error, shown):
    with pytest.raises(type(error)), device.hidden_messages():
        os.write(2, b"oneDNN\n")
        raise error
    assert capfd.readouterr().err == shown
