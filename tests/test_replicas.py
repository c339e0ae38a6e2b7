"""Several devices, and several machines, train as one device would."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

import numpy as np
import pytest

from gan.common.device import find_device
from gan.common.errors import UserError
from gan.data.datasets import load_dataset
from gan.distributed import cluster
from gan.distributed.cluster import KEY, Cluster, Place, ReplicaError, find_place, joined
from gan.distributed.replica import SINGLE, replicas_on
from tests.conftest import ROOT, TINY, assert_error, build, heed_signals, run_script
from tests.test_resume import assert_same_run

# Short trainings that one device and several take alike.

STEPS = 3  # after more, a value at the edge of a ReLU makes any two roundings differ
CASES = {  # name → (options, settings of `build`)
    "dcgan": ("--arch dcgan --augment adaptive --mirror --dropout 0.3 --n-critic 2 --gp-interval 2 "
              "--detail-weight 8", {}),
    "points": ("--dataset ring --loss wgan --gradient-penalty wgan-gp --spectral-norm",
               {"streamed": True}),
    # Which ends with an overflow.
    "float16": ("--dataset ring --loss relativistic --reduce-precision bfloat16",
                {"mixed_precision": "float16"}),
}


def results(replicas, dataset, names):
    """Return what each replica makes of the cases, as a dict of "case:variable" → array."""
    found = [{} for _ in replicas]
    for name in names:
        options, settings = CASES[name]
        data = load_dataset("ring") if "ring" in options else dataset
        if name == "float16":  # in a row of the second replica alone
            samples = data.images.copy()
            samples[build(data, *options.split()).feed.epoch_batches(1)[STEPS, 1]] = 1e30
            data = dataclasses.replace(data, images=samples)
        trainer = build(data, *options.split(), replicas=replicas, **settings)
        if trainer.state.augmentation is not None:  # few images, but it begins with nothing
            trainer.state.augmentation.assign(0.5)
        batches = trainer.feed.epoch_batches(1)
        measures = np.array(trainer.train(batches[:STEPS]))
        if name == "float16":
            trainer.train(batches[STEPS : STEPS + 1])
        for arrays, each in zip(found, trainer.trainers, strict=True):
            arrays |= {f"{name}:{key}": variable.numpy()
                       for key, variable in each.state.variables().items()}
            arrays[f"{name}:measures"] = measures
    return found


def run_and_save(dataset, targets, names):
    """Run the cases and save what came out of each replica of this process."""
    with joined(types.SimpleNamespace(devices=1)) as group:
        device = find_device("off", "cpu", len(targets))
        found = results(replicas_on(device.names, group), dataset, names)
    for target, arrays in zip(targets, found, strict=True):
        np.savez(target, **arrays)


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def tf_config(index, addresses):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker",
                                                                  "index": index}})


def environments(count, key="a secret of the tests"):
    """The variables of each of several processes of this machine."""
    addresses = [free_address(), *["127.0.0.1:1"] * (count - 1)]  # workers do not listen
    return [os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", KEY: key,
                          "TF_CONFIG": tf_config(index, addresses)} for index in range(count)]


def run_cases(files, environments, dataset, names):
    """Run the cases in a process for each list of files, with a replica for each file.

    All replicas come out equal to the bit; returns what one of them makes of the cases.
    """
    running = [subprocess.Popen(
        [sys.executable, "-c", "from tests.test_replicas import run_and_save\n"
         f"run_and_save({str(dataset)!r}, {list(map(str, targets))}, {names})"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for targets, environment in zip(files, environments, strict=True)]
    for process in running:
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors[-3000:]
    first, *others = [dict(np.load(file)) for targets in files for file in targets]
    for other in others:
        np.testing.assert_equal(first, other)
    return first


def assert_close(found, expected, name, tolerance):
    compared = [key for key in expected if key.startswith(f"{name}:") and "optimizer" not in key]
    assert len(compared) > 10
    for key in compared:
        np.testing.assert_allclose(found[key], expected[key], rtol=tolerance, atol=tolerance,
                                   err_msg=key)


@pytest.fixture(scope="module")
def single(tiny_npz):
    return results([SINGLE], tiny_npz, list(CASES))[0]


@pytest.fixture(scope="module")
def pair(tiny_npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return run_cases([[folder / "0.npz", folder / "1.npz"]], [os.environ], tiny_npz, list(CASES))


@pytest.mark.parametrize(("name", "tolerance"), [
    ("dcgan", 5e-6), ("points", 5e-6),
    # Half precision rounds a sum by up to 2^-9 or 2^-12 of it, and Adam divides by its size.
    ("float16", 2e-2)])
def test_two_replicas_take_the_steps_of_one(pair, single, name, tolerance):
    assert_close(pair, single, name, tolerance)


def test_an_overflow_in_one_replica_skips_the_step_in_all(pair, single):
    scales = [key for key, value in single.items() if key.startswith("float16:")
              and "optimizer" in key and value.shape == () and value == 2.0**14]
    assert scales  # halved once, from 2^15
    assert all(pair[key] == 2.0**14 for key in scales)
    assert all(np.isfinite(value).all() for value in pair.values())


@pytest.mark.parametrize(("count", "names"), [
    (2, ["points"]), pytest.param(4, ["dcgan", "points"], marks=pytest.mark.slow)])
def test_several_processes_take_the_steps_of_one(tiny_npz, single, tmp_path, count, names):
    found = run_cases([[tmp_path / f"{rank}.npz"] for rank in range(count)],
                      environments(count), tiny_npz, names)
    for name in names:
        assert_close(found, single, name, 1e-5)


def begin(folder, dataset, *options, program=("train_gan.py",), environment=None):
    command = [sys.executable, *program, "--dataset", str(dataset), *TINY,
               "--clusters", "2", "--outdir", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            cwd=ROOT, preexec_fn=heed_signals, env=environment)


def wait_for_epoch(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("epoch "):
            return
    raise AssertionError("".join(lines))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds sockets in /proc")
def test_a_run_on_two_devices_listens_nowhere_and_goes_on_bit_for_bit(tiny_npz, tmp_path):
    options = ["--epochs", "12", "--devices", "2"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = begin(whole, tiny_npz, *options)
    output = done.communicate(timeout=300)[0]
    assert done.returncode == 0, output
    assert "one of 2 replicas" in output
    assert json.loads((whole / "summary.json").read_text())["devices"] == 2

    stopped = begin(parts, tiny_npz, *options)
    wait_for_epoch(stopped)
    handles = f"/proc/{stopped.pid}/fd"
    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
        opened = [os.readlink(f"{handles}/{number}") for number in os.listdir(handles)]
        assert not [name for name in opened if name.startswith("socket:")]
    stopped.send_signal(signal.SIGTERM)
    output = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == 128 + signal.SIGTERM, output
    assert "--resume --devices 2" in output

    run_script("train_gan.py", "--outdir", parts, "--resume", "--devices", 2, cwd=tmp_path)
    assert_same_run(whole, parts)

    fewer = run_script("train_gan.py", "--outdir", parts, "--resume", "--epochs", 13, cwd=tmp_path)
    assert "changed     devices from 2 to 1, from step 240 on" in fewer.stdout


FAULT = """
import time, train_gan, gan.distributed.replica
from gan.common.errors import run_script
from gan.feed import Feed
gan.distributed.replica.WATCHDOG_SECONDS, gan.distributed.replica.CALLS = 20, 2
feeds, arguments = [], Feed.arguments
def faulty(feed, batches):
    feeds.append(feed)
    if len(feeds) > 9 and feed is not feeds[0]:
        FAIL
    return arguments(feed, batches)
Feed.arguments = faulty
run_script('train_gan.py', train_gan.main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("fail", "expected"), [
    ("time.sleep(1000)", "completed no step for"),
    ("raise MemoryError('no room')", "failed: MemoryError: no room")])
def test_a_replica_that_hangs_or_fails_ends_the_run(tiny_npz, tmp_path, fail, expected):
    process = begin(tmp_path / "run", tiny_npz, "--epochs", "2000", "--devices", "2",
                    program=["-c", FAULT.replace("FAIL", fail)])
    assert_failed(process, "train_gan.py: error: replica ", expected, "--resume")


def assert_failed(process, *expected, code=ReplicaError.exit_code):
    """Assert that a process ends with one line that says what is expected."""
    output = process.communicate(timeout=120)[0]
    assert process.returncode == code, output
    assert all(text in output.splitlines()[-1] for text in expected)
    assert "Traceback" not in output


# The program in several processes


def begin_by_hand(datasets, folder, *options):
    """Start one process for each data set, as one would on several machines."""
    return [begin(folder, dataset, *options, environment=environment)
            for dataset, environment in zip(datasets, environments(len(datasets)), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_ends_all_with_one_line(tiny_npz, tmp_path, victim):
    running = begin_by_hand([tiny_npz] * 2, tmp_path / "run", "--epochs", "2000")
    wait_for_epoch(running[0])
    running[victim].kill()
    assert_failed(running[1 - victim], f"process {victim} of 2", "is gone or does not", "--resume")
    running[victim].communicate()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_processes_stop_together_when_one_is_asked_to(tiny_npz, tmp_path, asked):
    running = begin_by_hand([tiny_npz] * 2, tmp_path / "run", "--epochs", "2000")
    wait_for_epoch(running[0])
    running[asked].send_signal(signal.SIGTERM)
    for process, code in zip(running, [128 + signal.SIGTERM, 0], strict=True):
        output = process.communicate(timeout=60)[0]
        assert process.returncode == code and "Traceback" not in output, output
    assert len(list((tmp_path / "run" / "checkpoints").glob("*.npz"))) <= 2


@pytest.mark.slow
def test_other_data_in_one_process_end_all_with_one_line(tiny_npz, tmp_path):
    other = tmp_path / "other.npz"
    with np.load(tiny_npz) as file:
        np.savez(other, x_train=255 - file["x_train"], y_train=file["y_train"])
    chief, worker = begin_by_hand([tiny_npz, other], tmp_path / "run")
    expected = "does not hold the samples that the run was begun with"
    assert_failed(chief, expected)
    assert_failed(worker, expected, code=2)


def test_several_processes_without_a_key_are_refused():
    environment, config = environments(2, key="")[0], types.SimpleNamespace(devices="auto")
    assert_error(f"{KEY}: expected a secret of at least 16", joined(config, environment).__enter__)


# The rendezvous


@pytest.fixture
def quick(monkeypatch):
    """A rendezvous that gives up soon."""
    for name, seconds in (("HANDSHAKE_SECONDS", 1), ("JOIN_SECONDS", 10), ("RETRY_SECONDS", 0.1)):
        monkeypatch.setattr(cluster, name, seconds)


def connect(ranks, world_size, keys=None, attack=None):
    """Let processes connect, in threads; returns what came of each: `Cluster` or exception.

    Before the workers come, `attack` is given a function that connects to the chief.
    """
    address, opened = free_address(), contextlib.ExitStack()

    def come(rank):
        place = Place(rank, world_size, address)
        find = cluster.connect_to_chief if rank else cluster.accept_workers
        return Cluster(place, find(place, (keys or {}).get(rank, b"key")))

    def stranger():
        for _ in range(50):
            with contextlib.suppress(OSError):
                return opened.enter_context(
                    socket.create_connection(cluster.split_address(address), timeout=5))
            time.sleep(0.1)
        raise AssertionError("the chief does not listen")

    with ThreadPoolExecutor(len(ranks)) as pool, opened:
        coming = [pool.submit(come, ranks[0])]
        if attack:
            attack(stranger)
        coming += [pool.submit(come, rank) for rank in ranks[1:]]
        return [future.exception(30) or future.result() for future in coming]


def assert_connected(clusters):
    with ThreadPoolExecutor(len(clusters)) as pool:
        for other, part in zip(clusters[1:], (b"b", b"c"), strict=False):
            pool.submit(other.all_reduce, part, None)
        assert clusters[0].all_reduce(b"a", b"".join) == b"abc"[: len(clusters)]


@pytest.mark.parametrize("parts", [
    [], [b'{"index": Infinity}\n'], [b"[" * 5000], [b"GET / HTTP/1.1\r\n\r\n"],
    [b"\x7f\xff\xff\xff" + b"x" * 5000],
    [b"\0\0\0\x10" + b"m" * 16, b"\0\0\0\x04\0\0\0\x01"],  # an answer without the key
    [bytes([byte]) for byte in b"\0\0\0\x40" + 40 * b"x"],  # until the chief cuts it off
])
def test_strangers_are_not_let_in_and_hold_up_nobody(quick, parts):
    def attack(stranger):
        for _ in range(1 if parts else 20):
            connection = stranger()
            connection.settimeout(0.2)
            for part in parts:
                with contextlib.suppress(OSError):
                    connection.sendall(part)
                    if connection.recv(64) == b"":
                        break

    began = time.monotonic()
    assert_connected(connect([0, 1, 2], 3, attack=attack))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("rank", [b"", b"\0\0\0\0", b"\0\0\0\x63", b"[" * 99])
def test_a_holder_of_the_key_with_an_odd_rank_is_left_out(quick, rank):
    def attack(stranger):
        peer = stranger()
        peer.settimeout(None)
        connection = Connection(os.dup(peer.fileno()))
        answer_challenge(connection, b"key")
        deliver_challenge(connection, b"key")
        connection.send_bytes(rank)

    assert_connected(connect([0, 1], 2, attack=attack))


def test_who_does_not_come_or_has_another_key_is_named(quick, monkeypatch):
    monkeypatch.setattr(cluster, "JOIN_SECONDS", 2)
    chief, worker, other = connect([0, 1, 2], 4, keys={1: b"another"})
    assert isinstance(chief, ReplicaError) and "process 1 of 4 did not come within 2" in str(chief)
    assert isinstance(worker, UserError) and "has another key or version" in str(worker)
    assert isinstance(other, Cluster)  # it has found the chief
    with pytest.raises(ReplicaError, match="the chief does not answer at 127.0.0.1"):
        cluster.connect_to_chief(Place(1, 2, free_address()), b"key")
    # The chief listens at its own address only: this one is of no machine, TEST-NET-1.
    place = Place(0, 2, "192.0.2.1:4000")
    assert_error("cannot listen at 192.0.2.1:4000", cluster.accept_workers, place, b"key")


def test_a_peer_that_stops_answering_is_given_up(quick, monkeypatch):
    monkeypatch.setattr(cluster, "WATCHDOG_SECONDS", 1)
    chief, _ = connect([0, 1], 2)
    with pytest.raises(ReplicaError, match="process 1 of 2 is gone or does not answer"):
        chief.all_reduce(b"", b"".join)
    assert isinstance(chief.failure, ReplicaError)


# Places in a cluster


SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_ID": "12345678",
         "SLURM_STEP_NODELIST": "n[4-5]", "SLURM_LOCALID": "1"}


def test_places_in_a_cluster():
    def of(kind, index, **jobs):
        task = {"cluster": jobs, "task": {"type": kind, "index": index}}
        return find_place({"TF_CONFIG": json.dumps(task)})

    assert find_place({}) is None
    assert of("worker", 0, worker=["a:1"]) is None  # alone
    assert of("worker", 1, worker=["a:1", "b:2"]) == Place(1, 2, "a:1")
    assert of("worker", 0, chief=["c:1"], worker=["a:1"]) == Place(1, 2, "c:1")
    assert of("worker", 1, worker=["[::1]:1", "b:2"]) == Place(1, 2, "[::1]:1")
    assert find_place(SLURM) == Place(3, 4, "n4:25678", 1)
    assert find_place(SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None
    for nodes, first in (("node1,node2", "node1"), ("gpu[07-09,12],big1", "gpu07"),
                         ("rack[2-3]n[1,5]", "rack2n1"), ("a-b[001-128].local", "a-b001.local")):
        assert find_place(SLURM | {"SLURM_STEP_NODELIST": nodes}).chief == f"{first}:25678"


@pytest.mark.parametrize("text", [
    "{", "3", "[" * 100_000, '{"cluster": 1}', '{"cluster": {"worker": 5}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}}', tf_config(float("inf"), ["a:1", "b:2"]),
    tf_config(99, ["a:1", "b:2"]), tf_config("x", ["a:1", "b:2"]), tf_config(0, ["a:1", 5]),
    tf_config(0, {"0": "a:1"}),
    *(tf_config(0, [bad, "b:2"]) for bad in ("a", ":1", "a:70000", "a:0", "a b:1", "a:1:2:x"))])
def test_a_wrong_tf_config_is_one_line(text):
    assert_error("^TF_CONFIG: expected", find_place, {"TF_CONFIG": text})


@pytest.mark.parametrize("wrong", [{"SLURM_PROCID": "4"}, {"SLURM_PROCID": "-1"},
                                   {"SLURM_JOB_ID": "x"}, {"SLURM_LOCALID": "-1"},
                                   {"SLURM_STEP_NUM_TASKS": "9" * 5000}])
def test_wrong_variables_of_slurm_are_one_line(wrong):
    assert_error("^SLURM_PROCID.*: expected", find_place, SLURM | wrong)
