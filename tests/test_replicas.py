"""Several devices, and several machines, train as one device would."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.distributed import rendezvous
from gan.distributed.cluster import KEY, Cluster, Place, find_place, first_node
from gan.distributed.rendezvous import ReplicaError
from tests.conftest import ROOT, TINY, heed_signals, run_script
from tests.replica_cases import CASES, alone

SECRET = "a secret of the tests"


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def tf_config(index, addresses):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker",
                                                                  "index": index}})


def environments(count, key=SECRET):
    """What tells each of several processes of this machine its place."""
    addresses = [free_address(), *["127.0.0.1:1"] * (count - 1)]  # workers do not listen
    return [os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", KEY: key,
                          "TF_CONFIG": tf_config(index, addresses)} for index in range(count)]


def on_devices(count, dataset, names, folder):
    """Run the cases on several devices of one process."""
    return run_cases(count, [[folder / f"{rank}.npz" for rank in range(count)]],
                     [os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}], dataset, names)


def in_processes(count, dataset, names, folder):
    """Run the cases in several processes with a device each."""
    return run_cases(count, [[folder / f"{rank}.npz"] for rank in range(count)],
                     environments(count), dataset, names)


def run_cases(count, files, environments, dataset, names):
    running = [subprocess.Popen(
        [sys.executable, "-m", "tests.replica_cases",
         json.dumps([count, str(dataset), list(map(str, targets)), names])], cwd=ROOT,
        env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for targets, environment in zip(files, environments, strict=True)]
    for process in running:
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors[-3000:]
    return [dict(np.load(file)) for targets in files for file in targets]


def assert_replicas_equal(replicas):
    for other in replicas[1:]:
        for name, value in replicas[0].items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


def assert_close(found, expected, tolerance, prefix=""):
    compared = [key for key in expected if key.startswith(prefix) and "optimizer" not in key]
    assert len(compared) > 10
    for key in compared:
        np.testing.assert_allclose(found[key], expected[key], rtol=tolerance, atol=tolerance,
                                   err_msg=key)


@pytest.fixture(scope="module")
def single(tensorflow, tiny_npz):
    return alone(tiny_npz, list(CASES))


@pytest.fixture(scope="module")
def pair(tiny_npz, tmp_path_factory):
    return on_devices(2, tiny_npz, list(CASES), tmp_path_factory.mktemp("pair"))


def test_replicas_stay_equal_to_the_bit(pair):
    assert_replicas_equal(pair)


@pytest.mark.parametrize(("name", "tolerance"), [
    ("conv", 5e-6), ("dcgan", 5e-6), ("resnet", 5e-6), ("mlp", 5e-6), ("points", 5e-6),
    # Half precision rounds a sum by up to 2^-9 or 2^-12 of it, and Adam divides by its size.
    ("bfloat16", 2e-2), ("float16", 2e-2), ("reduced", 2e-2)])
def test_two_replicas_take_the_steps_of_one(pair, single, name, tolerance):
    assert_close(pair[0], single, tolerance, f"{name}:")


def test_an_overflow_in_one_replica_skips_the_step_in_all(pair, single):
    scales = [key for key in single if key.startswith("overflow:") and "optimizer" in key
              and single[key].shape == () and single[key] == 2.0**14]
    assert scales  # halved once, from 2^15
    for key in scales:
        assert pair[0][key] == pair[1][key] == 2.0**14
    weights = [value for key, value in pair[0].items()
               if key.startswith("overflow:") and "measures" not in key]
    assert all(np.isfinite(value).all() for value in weights)


def test_two_processes_take_the_steps_of_one(tiny_npz, single, tmp_path):
    names = ["conv", "reduced"]
    workers = in_processes(2, tiny_npz, names, tmp_path)
    assert_replicas_equal(workers)
    assert_close(workers[0], single, 5e-6, "conv:")
    assert_close(workers[0], single, 2e-2, "reduced:")


@pytest.mark.slow
@pytest.mark.parametrize("run", [on_devices, in_processes])
def test_four_replicas_take_the_steps_of_one(tiny_npz, single, tmp_path, run):
    names = ["conv", "dcgan", "mlp", "points"]
    workers = run(4, tiny_npz, names, tmp_path)
    assert_replicas_equal(workers)
    for name in names:
        assert_close(workers[0], single, 1e-5, f"{name}:")


# The program on two devices


def saved(folder):
    newest = max((folder / "checkpoints").glob("step_*.npz"))
    with np.load(newest) as file:
        return {name: file[name] for name in file.files if not name.startswith("about")}


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
    assert not sockets_of(stopped.pid)
    stopped.send_signal(signal.SIGTERM)
    output = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == 128 + signal.SIGTERM, output
    assert "--resume --devices 2" in output

    again = run_script("train_gan.py", "--outdir", parts, "--resume", "--devices", 2, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = saved(whole), saved(parts)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)

    fewer = run_script("train_gan.py", "--outdir", parts, "--resume", "--epochs", 13, cwd=tmp_path)
    assert fewer.returncode == 0, fewer.stderr
    assert "changed     devices from 2 to 1, from step 240 on" in fewer.stdout


def sockets_of(pid):
    """What a process has open that another one could connect to."""
    with contextlib.suppress(FileNotFoundError):
        return [target for target in map(os.readlink, (
            f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")))
            if target.startswith("socket:")]


FAULT = """
import sys, time, threading
import gan.distributed.group, gan.feed
gan.distributed.group.WATCHDOG_SECONDS = 20
calls, arguments = [], gan.feed.Feed.arguments
def faulty(feed, batches):
    calls.append(feed)
    if len(calls) > 9 and feed is not calls[0]:
        FAIL
    return arguments(feed, batches)
gan.feed.Feed.arguments = faulty
from gan.common.errors import run_script
import train_gan
run_script('train_gan.py', train_gan.main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("fail", "expected"), [
    ("time.sleep(1000)", "completed no step for"),
    ("raise MemoryError('no room')", "failed: MemoryError: no room")])
def test_a_replica_that_hangs_or_fails_ends_the_run_with_one_line(
        tiny_npz, tmp_path, fail, expected):
    program = ["-c", FAULT.replace("FAIL", fail)]
    process = begin(tmp_path / "run", tiny_npz, "--epochs", "2000", "--devices", "2",
                    program=program)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == ReplicaError.exit_code, output
    line = output.splitlines()[-1]
    assert line.startswith("train_gan.py: error: replica ") and expected in line
    assert "--resume" in line and "Traceback" not in output


def test_a_batch_that_cannot_be_split_is_refused_before_anything_starts(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, "--batch-size", 16, "--devices", 3,
                      cwd=tmp_path)
    assert done.returncode == 2
    assert "--batch-size: expected a multiple of 3, the number of devices" in done.stderr


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
    output = running[1 - victim].communicate(timeout=60)[0]
    assert running[1 - victim].returncode == ReplicaError.exit_code
    line = output.splitlines()[-1]
    assert f"process {victim} of 2" in line and "is gone or does not answer" in line
    assert "--resume" in line and "Traceback" not in output
    running[victim].communicate()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_processes_stop_together_when_one_is_asked_to(tiny_npz, tmp_path, asked):
    running = begin_by_hand([tiny_npz] * 2, tmp_path / "run", "--epochs", "2000")
    wait_for_epoch(running[0])
    running[asked].send_signal(signal.SIGTERM)
    for process, code in zip(running, [128 + signal.SIGTERM, 0], strict=True):
        output = process.communicate(timeout=60)[0]
        assert process.returncode == code, output
        assert "Traceback" not in output
    assert len(list((tmp_path / "run" / "checkpoints").glob("*.npz"))) <= 2


@pytest.mark.slow
def test_other_data_in_one_process_end_all_with_one_line(tiny_npz, tmp_path):
    other = tmp_path / "other.npz"
    with np.load(tiny_npz) as file:
        np.savez(other, x_train=255 - file["x_train"], y_train=file["y_train"])
    running = begin_by_hand([tiny_npz, other], tmp_path / "run")
    for process, code in zip(running, [ReplicaError.exit_code, 2], strict=True):
        output = process.communicate(timeout=120)[0]
        assert process.returncode == code, output
        line = output.splitlines()[-1]
        assert "does not hold the samples that the run was begun with" in line
        assert "Traceback" not in output


def test_several_processes_without_a_key_are_refused(tiny_npz, tmp_path):
    process = begin(tmp_path, tiny_npz, environment=environments(2, key="")[0])
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert output.startswith(f"train_gan.py: error: {KEY}: expected a secret of at least 16")


# The rendezvous


@pytest.fixture
def quick(monkeypatch):
    """A rendezvous that gives up soon."""
    monkeypatch.setattr(rendezvous, "HANDSHAKE_SECONDS", 1)
    monkeypatch.setattr(rendezvous, "JOIN_SECONDS", 10)
    monkeypatch.setattr(rendezvous, "RETRY_SECONDS", 0.1)


def meet(ranks, world_size, keys=None, attack=None):
    """Let processes meet, in threads; returns what came of each: `Cluster` or exception."""
    address, found = free_address(), {}

    def come(rank):
        place = Place(rank, world_size, address)
        find = rendezvous.find_chief if rank else rendezvous.wait_for_workers
        try:
            found[rank] = Cluster(place, find(place, (keys or {}).get(rank, b"key")))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=come, args=[rank]) for rank in ranks]
    threads[0].start()
    with contextlib.ExitStack() as stack:
        if attack:
            attack(address, stack)
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join(30)
    return [found.get(rank) for rank in ranks]


def connected(address, stack):
    host, port = address.split(":")
    for _ in range(50):
        with contextlib.suppress(OSError):
            return stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
        time.sleep(0.1)
    raise AssertionError("the chief does not listen")


def assert_met(clusters):
    assert [cluster.rank for cluster in clusters] == list(range(len(clusters)))
    threads = [threading.Thread(target=other.exchange, args=[b"bc"[at : at + 1], None], daemon=True)
               for at, other in enumerate(clusters[1:])]
    for thread in threads:
        thread.start()
    assert clusters[0].exchange(b"a", b"".join) == b"abc"[: len(clusters)]


def test_processes_meet(quick):
    assert_met(meet([0, 1, 2], 3))


def silent(address, stack):
    for _ in range(20):
        connected(address, stack)


def dripping(address, stack):
    connection = connected(address, stack)

    def drip():
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"\0")
                time.sleep(0.2)

    threading.Thread(target=drip, daemon=True).start()


def odd(address, stack):
    for text in [b'{"index": 1}\n', b"[" * 5000, b'{"index": Infinity}\n', b'{"index": 99}\n',
                 b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xff\xff\xff" + b"x" * 5000, b"\xff" * 5000]:
        with contextlib.suppress(OSError):
            connected(address, stack).sendall(text)


def hang_up(address, stack):
    for _ in range(20):
        connected(address, stack).close()


def impostor(address, stack):
    """A process without the key, that answers the chief's challenge anyhow."""
    connection = connected(address, stack)
    connection.recv(64)
    with contextlib.suppress(OSError):
        connection.sendall(b"\0\0\0\x10" + b"m" * 16)
        connection.sendall(b"\0\0\0\x40" + json.dumps([1, "2.0", "here"]).encode())


@pytest.mark.parametrize("attack", [silent, dripping, odd, hang_up, impostor])
def test_strangers_are_not_let_in_and_hold_up_nobody(quick, attack):
    began = time.monotonic()
    assert_met(meet([0, 1], 2, attack=attack))
    assert time.monotonic() - began < 5


def test_a_stranger_that_drips_is_cut_off(quick):
    def attack(address, stack):
        connection = connected(address, stack)
        connection.settimeout(0.2)
        with contextlib.suppress(ConnectionError):  # it is closed to both sides
            for byte in b"\0\0\0\x40" + 20 * b"x":  # a message of 64 bytes, one at a time
                connection.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if connection.recv(64) == b"":
                        return
            raise AssertionError("the chief still listens to it")

    assert_met(meet([0, 1], 2, attack=attack))


@pytest.mark.parametrize("rank", [b"", b"1", b"\0\0\0\0", b"\0\0\0\x63", b"\xff" * 4, b"[" * 99])
def test_a_holder_of_the_key_with_an_odd_rank_is_left_out(quick, rank):
    def attack(address, stack):
        peer = connected(address, stack)
        peer.settimeout(None)
        connection = stack.enter_context(Connection(peer.detach()))
        answer_challenge(connection, b"key")
        deliver_challenge(connection, b"key")
        connection.send_bytes(rank)

    assert_met(meet([0, 1], 2, attack=attack))


def test_another_key_is_refused(quick, monkeypatch):
    monkeypatch.setattr(rendezvous, "JOIN_SECONDS", 2)
    chief, worker = meet([0, 1], 2, keys={1: b"another"})
    assert isinstance(chief, ReplicaError) and "process 1 of 2 did not come" in str(chief)
    assert isinstance(worker, UserError) and "has another key or version" in str(worker)


def test_an_impostor_at_the_chiefs_port_learns_nothing(quick, monkeypatch):
    monkeypatch.setattr(rendezvous, "JOIN_SECONDS", 2)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pose():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(b"\0\0\0\x10" + b"c" * 16)
                    heard.append(connection.recv(1000))

        threading.Thread(target=pose, daemon=True).start()
        place = Place(1, 2, f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises((ReplicaError, UserError), match="chief|key"):
            rendezvous.find_chief(place, b"key")
    assert all(b"key" not in text and b"version" not in text for text in heard)


def test_who_does_not_come_is_named(quick, monkeypatch):
    monkeypatch.setattr(rendezvous, "JOIN_SECONDS", 1)
    chief, worker = meet([0, 1], 3)
    assert "process 2 of 3 did not come within 1 seconds" in str(chief)
    assert isinstance(worker, Cluster)  # it has found the chief
    with pytest.raises(ReplicaError, match="the chief does not answer at 127.0.0.1"):
        rendezvous.find_chief(Place(1, 2, free_address()), b"key")


def test_the_chief_listens_at_its_own_address_only(quick):
    place = Place(0, 2, "192.0.2.1:4000")  # of no machine: TEST-NET-1
    with pytest.raises(UserError, match="cannot listen at 192.0.2.1:4000"):
        rendezvous.wait_for_workers(place, b"key")


def test_a_peer_that_stops_answering_is_given_up(quick, monkeypatch):
    monkeypatch.setattr(rendezvous, "WATCHDOG_SECONDS", 1)
    chief, _ = meet([0, 1], 2)
    with pytest.raises(ReplicaError, match="process 1 of 2 is gone or does not answer"):
        chief.exchange(b"", b"".join)
    assert isinstance(chief.failure, ReplicaError)


# What schedulers tell


@pytest.mark.parametrize(("nodes", "first"), [
    ("node1", "node1"), ("node1,node2", "node1"), ("gpu[07-09,12],big1", "gpu07"),
    ("rack[2-3]n[1,5]", "rack2n1"), ("a-b[001-128].local", "a-b001.local")])
def test_first_node_of_slurms_lists(nodes, first):
    assert first_node(nodes) == first


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


@pytest.mark.parametrize("text", [
    "{", "[]", "3", '"text"', "[" * 100_000, '{"cluster": 1}', '{"cluster": {"worker": 5}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": Infinity}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 99}}',
    '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": "x"}}',
    '{"cluster": {"worker": ["a:1", 5]}, "task": {"type": "worker", "index": 0}}',
    '{"cluster": {"worker": {"0": "a:1"}}, "task": {"type": "worker", "index": 0}}',
    *(f'{{"cluster": {{"worker": ["{bad}", "b:2"]}}, "task": {{"type": "worker", "index": 0}}}}'
      for bad in ("a", "a:", ":1", "a:70000", "a:0", "a b:1", "a:1:2:x"))])
def test_a_wrong_tf_config_is_one_line(text):
    with pytest.raises(UserError, match="^TF_CONFIG: expected"):
        find_place({"TF_CONFIG": text})


@pytest.mark.parametrize("wrong", [{"SLURM_PROCID": "4"}, {"SLURM_PROCID": "-1"},
                                   {"SLURM_JOB_ID": "x"}, {"SLURM_STEP_NUM_TASKS": "9" * 5000}])
def test_wrong_variables_of_slurm_are_one_line(wrong):
    with pytest.raises(UserError, match="^SLURM_PROCID.*: expected"):
        find_place(SLURM | wrong)
