"""Several processes train as one would."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from gan.common.errors import UserError
from gan.distributed.cluster import Place, find_place, first_node
from gan.distributed.launch import free_addresses, processes_for
from gan.distributed.meeting import meet
from gan.distributed.replica import EXIT_LOST, LostPartnerError, PartnerError
from tests.conftest import ROOT, TINY, heed_signals, run_script
from tests.replica_cases import CASES, alone


def in_processes(count, dataset, names, folder):
    addresses = free_addresses(count)
    files = [folder / f"{index}.npz" for index in range(count)]
    running = [subprocess.Popen(
        [sys.executable, "-m", "tests.replica_cases",
         json.dumps([index, addresses, str(dataset), str(file), names])], cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, stderr=subprocess.PIPE, text=True)
        for index, file in enumerate(files)]
    for process in running:
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors[-3000:]
    return [dict(np.load(file)) for file in files]


def assert_workers_equal(workers):
    for other in workers[1:]:
        for name, value in workers[0].items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def pair(tensorflow, tiny_npz, tmp_path_factory):
    """What two processes made of the cases, and what one did."""
    workers = in_processes(2, tiny_npz, list(CASES), tmp_path_factory.mktemp("pair"))
    return workers, alone(tiny_npz, list(CASES))


def test_processes_stay_equal_to_the_bit(pair):
    assert_workers_equal(pair[0])


@pytest.mark.parametrize(("name", "tolerance"), [
    ("conv", 5e-6), ("dcgan", 5e-6), ("resnet", 5e-6), ("mlp", 5e-6), ("points", 5e-6),
    # Half precision rounds a sum by up to 2^-9 or 2^-12 of it, and Adam divides by its size.
    ("bfloat16", 2e-2), ("float16", 2e-2), ("reduced", 2e-2)])
def test_two_processes_take_the_steps_of_one(pair, name, tolerance):
    (first, _), single = pair
    compared = [key for key in single if key.startswith(f"{name}:") and "optimizer" not in key]
    assert len(compared) > 10
    for key in compared:
        np.testing.assert_allclose(first[key], single[key], rtol=tolerance, atol=tolerance,
                                   err_msg=key)


def test_an_overflow_in_one_process_skips_the_step_in_all(pair):
    (first, second), single = pair
    scales = [key for key in single if key.startswith("overflow:") and "optimizer" in key
              and single[key].shape == () and single[key] == 2.0**14]
    assert scales  # halved once, from 2^15
    for key in scales:
        assert first[key] == second[key] == 2.0**14
    weights = [value for key, value in first.items()
               if key.startswith("overflow:") and "measures" not in key]
    assert all(np.isfinite(value).all() for value in weights)


@pytest.mark.slow
def test_four_processes_take_the_steps_of_one(tensorflow, tiny_npz, tmp_path):
    names = ["conv", "dcgan", "mlp", "points"]
    workers, single = in_processes(4, tiny_npz, names, tmp_path), alone(tiny_npz, names)
    assert_workers_equal(workers)
    for key in single:
        if "optimizer" not in key:
            np.testing.assert_allclose(workers[0][key], single[key], rtol=1e-5, atol=1e-5,
                                       err_msg=key)


def saved(folder):
    newest = max((folder / "checkpoints").glob("step_*.npz"))
    with np.load(newest) as file:
        return {name: file[name] for name in file.files if not name.startswith("about")}


def begin(folder, dataset, *options):
    command = [sys.executable, str(ROOT / "train_gan.py"), "--dataset", str(dataset), *TINY,
               "--clusters", "2", "--devices", "2", "--outdir", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=heed_signals)


def wait_for_epoch(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("epoch "):
            return lines
    raise AssertionError("".join(lines))


def children(process):
    listed = (f"/proc/{process.pid}/task/{process.pid}/children")
    with open(listed) as file:
        return [int(number) for number in file.read().split()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_request_to_one_process_stops_all_and_the_run_goes_on_bit_for_bit(tiny_npz, tmp_path):
    epochs = ["--epochs", "12"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = begin(whole, tiny_npz, *epochs)
    output = done.communicate(timeout=300)[0]
    assert done.returncode == 0, output
    assert "one of 2 processes" in output
    assert json.loads((whole / "summary.json").read_text())["processes"] == 2

    stopped = begin(parts, tiny_npz, *epochs)
    wait_for_epoch(stopped)
    os.kill(children(stopped)[1], signal.SIGTERM)
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_ends_all_with_one_line(tiny_npz, tmp_path, victim, kind):
    process = begin(tmp_path / "run", tiny_npz, "--epochs", "2000")
    wait_for_epoch(process)
    os.kill(children(process)[victim], kind)
    began = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert time.monotonic() - began < 30
    assert process.returncode in (EXIT_LOST, 128 + signal.SIGKILL)
    lines = [line for line in output.splitlines() if "is gone or does not answer" in line]
    assert len(lines) == 1 and f"process {victim} of 2" in lines[0]
    assert "--resume --devices 2" in lines[0] and "Traceback" not in output


def begin_by_hand(programs, datasets, folder, *options):
    """Start one process for each program and data set, as one would on several machines."""
    addresses, running = free_addresses(len(datasets)), []
    for index, (program, dataset) in enumerate(zip(programs, datasets, strict=True)):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        running.append(subprocess.Popen(
            [sys.executable, *program, "--dataset", str(dataset), *TINY, "--clusters", "2",
             "--outdir", str(folder), *options], stderr=subprocess.PIPE, cwd=ROOT,
            stdout=subprocess.DEVNULL, text=True, env=os.environ | {
                "TF_CONFIG": json.dumps(task)}))
    return running


@pytest.mark.slow
def test_a_process_that_hangs_ends_all_with_one_line(tiny_npz, tmp_path):
    quick = ("from gan.common.device import import_tensorflow; import_tensorflow(False)\n"
             "import gan.distributed.watch, gan.feed, time; gan.distributed.watch.SECONDS = 4\n")
    hang = ("calls = []; arguments = gan.feed.Feed.arguments\n"
            "def hang(feed, batches):\n"
            "    calls.append(len(batches))\n"
            "    time.sleep(1000 if len(calls) > 5 else 0)\n"
            "    return arguments(feed, batches)\n"
            "gan.feed.Feed.arguments = hang\n")
    start = ("from gan.common.errors import run_script\nimport train_gan\n"
             "run_script('train_gan.py', train_gan.main)\n")
    running = begin_by_hand([["-c", quick + start], ["-c", quick + hang + start]],
                            [tiny_npz] * 2, tmp_path / "run", "--epochs", "2000")
    errors = []
    for process in running:
        errors += process.communicate(timeout=120)[1].splitlines()
        assert process.returncode == EXIT_LOST, errors
    assert len(errors) == 2 and all("To continue: python" in line for line in errors), errors
    assert "is gone or does not answer" in errors[0]
    assert "process 1 of 2 completed no step for" in errors[1]


@pytest.mark.slow
@pytest.mark.parametrize("request_", ["time", "Ctrl-C"])
def test_processes_stop_together_when_time_is_up_or_ctrl_c_comes(tiny_npz, tmp_path, request_):
    limit = ["--max-minutes", "1"] if request_ == "time" else []  # a slow start takes half of it
    process = begin(tmp_path, tiny_npz, "--epochs", "20000", *limit)
    if request_ == "Ctrl-C":
        wait_for_epoch(process)
        process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == (0 if limit else 128 + signal.SIGINT), output
    assert ("time is up: " if limit else "interrupted at step") in output
    assert "--resume --devices 2" in output and "Traceback" not in output
    assert len(list((tmp_path / "checkpoints").iterdir())) <= 2


@pytest.mark.slow
def test_other_data_in_one_process_end_all_with_one_line(tiny_npz, tmp_path):
    other = tmp_path / "other.npz"
    with np.load(tiny_npz) as file:
        np.savez(other, x_train=255 - file["x_train"], y_train=file["y_train"])
    running = begin_by_hand([[str(ROOT / "train_gan.py")]] * 2, [tiny_npz, other],
                            tmp_path / "run")
    for process in running:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 2, errors
        assert "process 1 of 2" in errors and "does not hold the samples that the chief" in errors
        assert len(errors.splitlines()) == 1


def test_wrong_shares_are_refused_before_anything_starts(tiny_npz, tmp_path):
    done = run_script("train_gan.py", "--dataset", tiny_npz, "--batch-size", 16, "--devices", 3,
                      cwd=tmp_path)
    assert done.returncode == 2
    assert "--batch-size: expected a multiple of 3, the number of processes" in done.stderr


def meet_in_threads(cards, seconds=10):
    address = free_addresses(1)[0]
    answers = [None] * len(cards)

    def come(index):
        place = Place(index, len(cards), address, f"host:{index + 1}")
        try:
            answers[index] = meet(place, {"--batch-size": cards[index]}, seconds)
        except PartnerError as error:
            answers[index] = error

    threads = [threading.Thread(target=come, args=[index]) for index, card in enumerate(cards)
               if card is not None]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return address, answers


def test_processes_meet_and_learn_all_addresses():
    _, answers = meet_in_threads(["16", "16", "16"])
    expected = [(f"host:{index}", socket.gethostname()) for index in (1, 2, 3)]
    assert answers == [expected] * 3


def test_what_differs_is_told_to_all():
    _, answers = meet_in_threads(["16", "16", "8"])
    assert {type(answer) for answer in answers} == {PartnerError}
    assert len({str(answer) for answer in answers}) == 1
    assert "--batch-size: process 2 of 3" in str(answers[0]) and answers[0].exit_code == 2


def test_who_does_not_come_is_named():
    _, answers = meet_in_threads(["16", "16", None], seconds=1)
    for answer in answers[:2]:
        assert isinstance(answer, LostPartnerError) and answer.exit_code == EXIT_LOST
        assert "process 2 of 3 did not come within 1 seconds" in str(answer)
    address, answers = meet_in_threads([None, "16"], seconds=1)
    assert f"process 0 of 2 (the chief) does not answer at {address}" in str(answers[1])


def test_a_stranger_at_the_door_is_ignored():
    address = free_addresses(1)[0]
    host, port = address.split(":")
    place, found = Place(0, 2, address, address), []
    chief = threading.Thread(target=lambda: found.extend(meet(place, {}, 10)))
    chief.start()
    for _ in range(50):
        try:
            with socket.create_connection((host, int(port)), timeout=1) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            break
        except OSError:
            time.sleep(0.1)
    meet(Place(1, 2, address, "other:1"), {}, 10)
    chief.join(10)
    assert [address for address, _ in found] == [address, "other:1"]


@pytest.mark.parametrize(("nodes", "first"), [
    ("node1", "node1"), ("node1,node2", "node1"), ("gpu[07-09,12],big1", "gpu07"),
    ("rack[2-3]n[1,5]", "rack2n1"), ("a-b[001-128].local", "a-b001.local")])
def test_first_node_of_slurms_lists(nodes, first):
    assert first_node(nodes) == first


def test_places_in_a_cluster():
    def of(kind, index, **cluster):
        task = {"cluster": cluster, "task": {"type": kind, "index": index}}
        return find_place({"TF_CONFIG": json.dumps(task)})

    assert find_place({}) is None
    assert of("worker", 0, worker=["a:1"]) is None  # alone
    assert of("worker", 1, worker=["a:1", "b:2"]) == Place(1, 2, "a:1", "b:2")
    assert of("worker", 0, chief=["c:1"], worker=["a:1"]) == Place(1, 2, "c:1", "a:1")
    slurm = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_ID": "12345678",
             "SLURM_STEP_NODELIST": "n[4-5]"}
    assert find_place(slurm) == Place(3, 4, "n4:25678")
    assert find_place(slurm | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {"worker": ["a:1", "b:2"]}}',
                                  '{"cluster": {"worker": ["a", "b"]}, "task": '
                                  '{"type": "worker", "index": 0}}'])
def test_a_wrong_tf_config_is_one_line(text):
    with pytest.raises(UserError, match="^TF_CONFIG: expected"):
        find_place({"TF_CONFIG": text})


def test_devices_are_counted(monkeypatch):
    assert processes_for(3) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert processes_for("auto") == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert processes_for("auto") == 1
