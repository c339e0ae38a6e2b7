"""The choice of precision, on machines that this one is not."""

import subprocess

import pytest

from gan.common import device


@pytest.fixture
def machine(tensorflow, monkeypatch):
    """A function that pretends a GPU (its compute capability or None) and a processor."""
    def pretend(capability, flags=()):
        gpus = [] if capability is None else [
            tensorflow.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
        monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda *_: gpus)
        monkeypatch.setattr(
            tensorflow.config.experimental, "get_device_details",
            lambda _: {"device_name": "Tesla T4", "compute_capability": capability})
        monkeypatch.setattr(device, "_processor_flags", lambda: set(flags))
        done = subprocess.CompletedProcess([], 0, stdout="15360\n")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    return pretend


@pytest.mark.parametrize(("capability", "flags", "policy"), [
    ((7, 5), (), "mixed_float16"),
    ((7, 0), ("avx512_bf16",), "mixed_float16"),
    ((6, 1), ("avx512_bf16",), "float32"),
    (None, ("avx512_bf16",), "mixed_bfloat16"),
    (None, ("amx_bf16",), "mixed_bfloat16"),
    (None, ("avx2",), "float32"),
])
def test_automatic_precision(machine, capability, flags, policy):
    machine(capability, flags)
    assert device.find_device("auto").policy == policy


@pytest.mark.parametrize(("option", "policy"), [
    ("off", "float32"), ("float16", "mixed_float16"), ("bfloat16", "mixed_bfloat16")])
def test_precision_as_asked_for(machine, option, policy):
    machine(None, ("avx512_bf16",))
    assert device.find_device(option).policy == policy


def test_gpu_is_described(machine):
    machine((7, 5))
    assert device.find_device("auto").name == "GPU, Tesla T4, 15 GiB, compute capability 7.5"
