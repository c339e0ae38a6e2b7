"""Cluster of processes on several machines that train one run: a chief and its workers.

The chief alone listens, at its own address and until all workers have come. Whoever connects
has to prove that it holds the key that they share before anything that it says is read.
"""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import struct
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import NamedTuple

from gan import __version__
from gan.common.errors import UserError, describe_os_error

KEY, SHORTEST_KEY = "GAN_CLUSTER_KEY", 16  # characters
JOIN_SECONDS = 600  # for all processes to come
HANDSHAKE_SECONDS = 5  # for a peer to prove that it holds the key
MOST_HANDSHAKES = 64  # at a time; beyond these the oldest is cut off
RETRY_SECONDS = 0.5
WATCHDOG_SECONDS = 300  # without an answer in a step
JOBS = ("chief", "worker")  # of TF_CONFIG, the one with the chief first
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID",
         "SLURM_LOCALID")
FIRST_PORT, PORTS = 20000, 10000  # of Slurm's jobs, each by its number
EXAMPLE = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
CONTENT, ERROR = b"c", b"e"  # first byte of a message


class ReplicaError(UserError):
    """A replica failed, is gone or does not answer."""

    exit_code = 75  # "try again" in sysexits.h: nothing is wrong with the input


class Place(NamedTuple):
    rank: int  # 0 is the chief
    world_size: int
    chief: str  # "host:port" that it listens at
    local_rank: int = 0  # among the processes of a machine, as far as known


def find_place(environment=os.environ):
    """Return the `Place` in TF_CONFIG or in the variables of srun; None for a single process."""
    place, text = None, environment.get("TF_CONFIG")
    slurm = [environment.get(name) for name in SLURM]
    try:
        if text:
            place = _from_tf_config(json.loads(text))
        elif all(slurm):
            rank, count, nodes, job, local_rank = slurm
            place = Place(int(rank), int(count), f"{first_node(nodes)}:"
                          f"{FIRST_PORT + int(job) % PORTS}", int(local_rank))
        if place and not (0 <= place.rank < place.world_size and place.local_rank >= 0):
            raise ValueError(place)
    except Exception as error:  # whatever the variables hold
        name, example = ("TF_CONFIG", EXAMPLE) if text else (", ".join(SLURM), "those of srun")
        raise UserError(f"{name}: expected {example}, got: {text or ', '.join(slurm):.300}"
                        ) from error
    return place if place and place.world_size > 1 else None


def _from_tf_config(config):
    cluster, task = config.get("cluster", {}), config.get("task", {})
    tasks = [(job, index) for job in JOBS for index in range(len(cluster.get(job, [])))]
    addresses = [cluster[job][index] for job, index in tasks]
    for address in addresses:
        split_address(address)
    if not addresses:
        return None
    return Place(tasks.index((task["type"], int(task["index"]))), len(tasks), addresses[0])


def split_address(address):
    """Return the host and port of "host:port"; ValueError for anything else."""
    match = re.fullmatch(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})", address)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(address)
    return match[1], int(match[2])


def first_node(nodes):
    """Return the first host of a list as Slurm writes it: "gpu[07-09,12],big1" → "gpu07"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]


@contextlib.contextmanager
def joined(config, environment=os.environ):
    """Join the `Cluster` that a scheduler started this process in; None for a single process."""
    place, key = find_place(environment), environment.get(KEY, "")
    if place is None:
        yield None
        return
    if config.devices not in (1, "auto", place.world_size):
        raise UserError("--devices: expected to be left out where TF_CONFIG or Slurm start the "
                        f"processes ({place.world_size}), got: {config.devices}")
    if len(key) < SHORTEST_KEY:
        raise UserError(
            f"{KEY}: expected a secret of at least {SHORTEST_KEY} characters, the same for all "
            f"{place.world_size} processes of TF_CONFIG or Slurm, as without it whoever reaches "
            f"the chief's port could join the run, got: {len(key)} characters")
    connect = connect_to_chief if place.rank else accept_workers
    cluster = Cluster(place, connect(place, f"{key} {__version__}".encode()))
    try:
        yield cluster
    except BaseException as error:
        words = str(error) or type(error).__name__
        if not isinstance(error, ReplicaError):  # else it is the other's, or of it
            words = f"{cluster.name_of(place.rank)}: {words}"
        cluster.send(words.encode(), ERROR)
        raise


class Cluster:
    """Connections of a process: the chief's with all workers, a worker's with the chief."""

    def __init__(self, place, peers):
        self.rank, self.world_size, self.local_rank = place.rank, place.world_size, place.local_rank
        self.failure = None  # the `ReplicaError` that ended an all_reduce
        self._peers = peers  # dict of rank → `Connection`

    def name_of(self, rank):
        return f"process {rank} of {self.world_size}" + (" (the chief)" if rank == 0 else "")

    def send(self, content, kind=CONTENT):
        """Send the same bytes to all peers; who is gone is missed when its answer is."""
        for connection in self._peers.values():
            with contextlib.suppress(OSError):
                connection.send_bytes(kind + content)

    def receive(self, forever=False):
        """Return what each peer sends next, by rank; `ReplicaError` if one fails or is gone."""
        found = []
        for rank, connection in self._peers.items():
            try:
                if not connection.poll(None if forever else WATCHDOG_SECONDS):
                    raise TimeoutError
                message = connection.recv_bytes()
            except (EOFError, OSError) as error:
                raise ReplicaError(f"{self.name_of(rank)} is gone or does not answer; to continue "
                                   "from the last checkpoint: --resume") from error
            if message.startswith(ERROR):
                raise ReplicaError(message[1:].decode())
            found.append(message[1:])
        return found

    def all_reduce(self, content, combine):
        """Return what the chief's `combine` makes of the list of contents, in all processes."""
        try:
            if self.rank:
                self.send(content)
                return self.receive()[0]
            content = combine([content, *self.receive()])
            self.send(content)
            return content
        except ReplicaError as error:
            self.failure = error
            raise


class ChiefTrainer:
    """The chief's `Trainer`, whose steps the workers take as well."""

    def __init__(self, trainer, cluster):
        self.config, self.state, self.feed = trainer.config, trainer.state, trainer.feed
        self.replica, self._trainer, self._cluster = trainer.replica, trainer, cluster

    def train(self, batches):
        self._cluster.send(str(len(batches)).encode())
        if any(map(int, self._cluster.receive())):
            # A worker was asked to stop: the loop stops after this call.
            signal.raise_signal(signal.SIGTERM)
        return self._trainer.train(batches)


def train_as_worker(trainer, stop, cluster):
    """Take the chief's steps until it ends the run; the chief is told of a `StopRequest`."""
    state, feed, batches = trainer.state, trainer.feed, None
    while steps := int(cluster.receive(forever=True)[0] or 0):
        cluster.send(str(int(stop.requested)).encode())
        done, first = divmod(int(state.step), feed.steps_per_epoch)
        if batches is None or first == 0:
            batches = feed.epoch_batches(done + 1)
        trainer.train(batches[first : first + steps])


# Rendezvous


def accept_workers(place, key):
    """Return a dict of rank → `Connection` of all workers, who prove to hold the key."""
    deadline, workers = time.monotonic() + JOIN_SECONDS, {}
    pending = collections.deque()

    def admit(peer):
        with contextlib.suppress(Exception):  # whatever a stranger does
            connection, rank = _authenticate(peer, key)
            if rank in range(1, place.world_size):
                workers[rank] = connection

    host, port = split_address(place.chief)
    try:
        server = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(f"the chief cannot listen at {place.chief}, expected its own address: "
                        f"{describe_os_error(error)}") from error
    print(f"processes   waiting for {place.world_size - 1} others at {place.chief}", flush=True)
    with server:
        server.settimeout(RETRY_SECONDS)
        while missing := set(range(1, place.world_size)) - workers.keys():
            if time.monotonic() > deadline:
                raise ReplicaError(f"process {min(missing)} of {place.world_size} did not come "
                                   f"within {JOIN_SECONDS} seconds")
            with contextlib.suppress(OSError):  # nobody came, or left again
                pending.append(server.accept()[0])
                threading.Thread(target=admit, args=[pending[-1]], daemon=True).start()
            if len(pending) > MOST_HANDSHAKES:
                _cut_off(pending.popleft())
    return dict(sorted(workers.items()))


def connect_to_chief(place, key):
    """Return {0: `Connection`} of the chief, who proves to hold the key."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            peer = socket.create_connection(split_address(place.chief), HANDSHAKE_SECONDS)
            return {0: _authenticate(peer, key, place.rank)[0]}
        except AuthenticationError as error:
            raise UserError(f"the process at {place.chief} has another key or version of this "
                            "project, expected the same") from error
        except Exception as error:  # not there yet, or no chief
            if time.monotonic() > deadline:
                raise ReplicaError(f"the chief does not answer at {place.chief} within "
                                   f"{JOIN_SECONDS} seconds") from error
        time.sleep(RETRY_SECONDS)


def _authenticate(peer, key, rank=None):
    """Return a `Connection` to a peer that holds the key, and the rank that a worker tells."""
    peer.settimeout(None)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        peer.setsockopt(socket.SOL_SOCKET, limit, struct.pack("ll", WATCHDOG_SECONDS, 0))
    # A limit to the whole handshake: each byte of a peer that drips would come in time.
    timer = threading.Timer(HANDSHAKE_SECONDS, _cut_off, [peer])
    timer.start()
    connection = Connection(os.dup(peer.fileno()))
    try:
        if rank is None:
            deliver_challenge(connection, key)
            answer_challenge(connection, key)
            rank = int.from_bytes(connection.recv_bytes(4))
        else:
            answer_challenge(connection, key)
            deliver_challenge(connection, key)
            connection.send_bytes(rank.to_bytes(4))
    except BaseException:
        connection.close()
        raise
    finally:
        timer.cancel()
        peer.close()
    return connection, rank


def _cut_off(peer):
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
