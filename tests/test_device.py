"""The choice of precision, on machines that this one is not."""

import ctypes
import gc
import os
import subprocess
from types import SimpleNamespace

import pytest

from gan.common import device
from gan.common.errors import UserError


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


@pytest.mark.parametrize("wanted", ["gpu:1", "gpu:99"])
def test_gpu_that_is_not_there_is_refused(machine, wanted):
    machine((7, 5))
    with pytest.raises(UserError, match=f"one of the 1 GPUs .* got: {wanted}"):
        device.find_device("auto", wanted)


def test_gpu_is_described(machine):
    machine((7, 5))
    found = device.find_device("auto")
    assert (found.name, found.gpu) == ("GPU, Tesla T4, 15 GiB, compute capability 7.5", True)
    assert not device.find_device("auto", "cpu").gpu


@pytest.fixture
def without_sysconf(monkeypatch):
    """The system of Windows, as far as memory goes."""
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(device, "CONTAINER_LIMITS", ())


def test_memory_on_windows_is_asked_of_its_kernel(without_sysconf, monkeypatch):
    def answer(pointer):
        assert pointer._obj.length == 64  # sizeof(MEMORYSTATUSEX)
        total = ctypes.c_uint64.from_address(ctypes.addressof(pointer._obj) + 8)
        total.value = 12 * 2**30
        return 1

    kernel = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=answer))
    monkeypatch.setattr(ctypes, "windll", kernel, raising=False)
    assert device.memory_bytes() == 12 * 2**30


def test_memory_that_no_system_tells_is_taken_for_4_gib(without_sysconf, monkeypatch):
    monkeypatch.delattr(ctypes, "windll", raising=False)
    assert device.memory_bytes() == 4 * 2**30


def test_memory_of_a_container_is_its_share(tmp_path, monkeypatch):
    (tmp_path / "limit").write_text("1000000\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(device, "CONTAINER_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert device.memory_bytes() == 1_000_000


def test_arrays_load_without_sysconf(without_sysconf, tiny_npz):
    from gan.data.datasets import load_dataset

    assert len(load_dataset(str(tiny_npz)).images) == 320


def test_import_is_not_searched_for_garbage():
    frozen = gc.get_freeze_count()
    with device.without_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


def test_collection_that_was_off_stays_off():
    gc.disable()
    try:
        with pytest.raises(ImportError), device.without_collection():
            raise ImportError
        assert not gc.isenabled()
    finally:
        gc.enable()
