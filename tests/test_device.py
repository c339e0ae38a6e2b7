"""The choice of precision, on machines that this one is not."""

import pytest

from gan.common import device
from tests.conftest import assert_error


@pytest.fixture
def machine(tensorflow, monkeypatch):
    """A function that pretends a GPU (its compute capability or None) and a processor."""
    def pretend(capability, flags=()):
        gpus = [] if capability is None else [
            tensorflow.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
        for name in ("list_physical_devices", "get_visible_devices"):
            monkeypatch.setattr(tensorflow.config, name, lambda *_: gpus)
        monkeypatch.setattr(
            tensorflow.config.experimental, "get_device_details",
            lambda _: {"device_name": "Tesla T4", "compute_capability": capability})
        monkeypatch.setattr(device, "processor", lambda field: " ".join(flags))

    return pretend


@pytest.mark.parametrize(("option", "capability", "flags", "policy"), [
    ("auto", (7, 5), (), "mixed_float16"),
    ("auto", (7, 0), ("avx512_bf16",), "mixed_float16"),
    ("auto", (6, 1), ("avx512_bf16",), "float32"),
    ("auto", None, ("avx512_bf16",), "mixed_bfloat16"),
    ("auto", None, ("amx_bf16",), "mixed_bfloat16"),
    ("auto", None, ("avx2",), "float32"),
    ("off", None, ("avx512_bf16",), "float32"),
    ("float16", None, (), "mixed_float16"),
    ("bfloat16", None, (), "mixed_bfloat16")])
def test_precision(machine, option, capability, flags, policy):
    machine(capability, flags)
    assert device.find_device(option).policy == policy


@pytest.mark.parametrize(("wanted", "policy"), [
    ("auto", "mixed_float16"), ("gpu", "mixed_float16"), ("gpu:0", "mixed_float16"),
    ("cpu", "mixed_bfloat16")])
def test_device_as_asked_for(machine, tensorflow, monkeypatch, wanted, policy):
    machine((7, 5), ("avx512_bf16",))
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
