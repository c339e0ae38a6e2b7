"""Processes on several machines that train one run, over authenticated connections.

The chief alone listens, at its own address and only until all others have come. Whoever
connects has to prove that it holds the key before anything it says is read, and nothing is
unpickled. What is sent is not encrypted: see docs/scaling.md.
"""

import collections
import contextlib
import json
import os
import queue
import re
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

from gan import __version__
from gan.common.errors import UserError, describe_os_error

EXIT_LOST = 75  # "try again" in sysexits.h: nothing is wrong with the input
KEY = "GAN_CLUSTER_KEY"
SHORTEST_KEY = 16  # characters
JOBS = ("chief", "master", "worker")  # of TF_CONFIG, the one with the chief first
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
FIRST_PORT, PORTS = 20000, 10000  # of Slurm's jobs, each by its number
JOIN_SECONDS = 600  # for all processes to come
HANDSHAKE_SECONDS = 5  # for a peer to prove that it holds the key
MOST_HANDSHAKES = 64  # at a time; beyond these the oldest is cut off
RETRY_SECONDS = 0.5
WATCHDOG_SECONDS = 300  # without an answer while all take steps
MOST_HELLO = 4096  # bytes
ORDER, DATA, ERROR, END = b"O", b"D", b"E", b"."  # kinds of messages


class ReplicaError(UserError):
    """A replica failed, is gone or does not answer."""

    def __init__(self, message, exit_code=EXIT_LOST):
        super().__init__(message)
        self.exit_code = exit_code


class RunEnded(Exception):  # noqa: N818 - not an error
    """The chief ended the run; the argument is the exit code."""


@dataclass(frozen=True)
class Place:
    """The place of a process in a cluster, as the scheduler tells it.

    Attributes:
        rank: its number; 0 is the chief.
        world_size: number of processes.
        chief: "host:port" that the chief listens at.
    """

    rank: int
    world_size: int
    chief: str


def find_place(environment=os.environ):
    """Return the `Place` that TF_CONFIG or a step of Slurm tells; None for a single process.

    Raises:
        UserError: when a variable does not say what it should.
    """
    place = None
    if environment.get("TF_CONFIG"):
        place = _from_tf_config(environment["TF_CONFIG"])
    elif all(environment.get(name) for name in SLURM):
        place = _from_slurm(*(environment[name] for name in SLURM))
    return place if place and place.world_size > 1 else None


def _from_tf_config(text):
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        tasks = [(job, index) for job in JOBS for index in range(len(cluster.get(job, [])))]
        addresses = [cluster[job][index] for job, index in tasks]
        if not addresses:
            return None
        rank = tasks.index((task["type"], int(task["index"])))
        for address in addresses:
            _split(address)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
            ValueError) as error:
        raise UserError(
            'TF_CONFIG: expected {"cluster": {"worker": ["host:port", …]}, "task": {"type": '
            f'"worker", "index": 0}}}}, got: {text:.300}') from error
    return Place(rank, len(addresses), addresses[0])


def _from_slurm(rank, count, nodes, job):
    try:
        place = Place(int(rank), int(count), f"{first_node(nodes)}:{FIRST_PORT + int(job) % PORTS}")
        if not 0 <= place.rank < place.world_size:
            raise ValueError(rank)
    except ValueError as error:
        raise UserError(f"{', '.join(SLURM)}: expected those of a step of Slurm, got: {rank:.20}, "
                        f"{count:.20}, {nodes:.200}, {job:.20}") from error
    return place


def first_node(nodes):
    """Return the first host of a list as Slurm writes it: "gpu[07-09,12],big1" → "gpu07"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]


def _split(address):
    """"host:port" → (host, port)."""
    host, port = re.fullmatch(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})", address).groups()
    if not 0 < int(port) < 65536:
        raise ValueError(address)
    return host, int(port)


@contextlib.contextmanager
def joined(config, environment=os.environ):
    """Join the cluster that a scheduler started this process in, for a `with` block.

    Args:
        config: `TrainConfig` from the command line.
        environment: dict of variables.

    Yields:
        A `Cluster`; None for a single process.

    Raises:
        UserError: without a key.
        ReplicaError: when another process does not come in time.
    """
    place = find_place(environment)
    if place is None:
        yield None
        return
    if config.devices not in (1, "auto", place.world_size):
        raise UserError("--devices: expected to be left out where TF_CONFIG or Slurm start the "
                        f"processes ({place.world_size}), got: {config.devices}")
    key = environment.get(KEY, "")
    if len(key) < SHORTEST_KEY:
        raise UserError(
            f"{KEY}: expected a secret of at least {SHORTEST_KEY} characters, the same for all "
            f"{place.world_size} processes of TF_CONFIG or Slurm, as whoever reaches the chief's "
            f"port could join the run without it, got: {f'{len(key)} characters' if key else ''}"
            f"{'' if key else 'none'}")
    meet = find_chief if place.rank else wait_for_workers
    cluster = Cluster(place, meet(place, key.encode()))
    try:
        yield cluster
    except RunEnded:
        raise
    except BaseException as error:
        if not isinstance(error, ReplicaError):
            words = str(error) if isinstance(error, UserError) else type(error).__name__
            error = ReplicaError(f"{cluster.name_of(place.rank)}: {words}",
                                 getattr(error, "exit_code", EXIT_LOST))
        cluster.tell(ERROR, json.dumps([str(error), error.exit_code]).encode())
        raise


class Cluster:
    """The connections of a process with the others: the chief's with all, a worker's with it.

    Attributes:
        rank, world_size: as of `Place`.
        local_rank, local_size: the same among the processes of this machine.
        failure: the `ReplicaError` that ended an exchange, if one did.
    """

    def __init__(self, place, peers):
        """
        Args:
            place: `Place`.
            peers: dict of rank → (`Connection`, host).
        """
        self.rank, self.world_size, self.failure = place.rank, place.world_size, None
        self._peers = {rank: connection for rank, (connection, _) in sorted(peers.items())}
        hosts = [socket.gethostname()] + [host for _, (_, host) in sorted(peers.items())]
        if self.rank == 0:
            self.tell(ORDER, json.dumps(hosts).encode())
        else:
            hosts = json.loads(self._receive(0, ORDER, JOIN_SECONDS))
        same = [rank for rank, host in enumerate(hosts) if host == hosts[self.rank]]
        self.local_rank, self.local_size = same.index(self.rank), len(same)

    def name_of(self, rank):
        """Return what a process is called in messages."""
        return f"process {rank} of {self.world_size}" + (" (the chief)" if rank == 0 else "")

    def tell(self, kind, content=b""):
        """Send the same to all peers, as far as they are there."""
        for connection in self._peers.values():
            with contextlib.suppress(OSError):
                connection.send_bytes(kind + content)

    def exchange(self, content, combine=None):
        """Combine what all processes send; returns the result, the same in all of them.

        Args:
            content: bytes, from each as many.
            combine: function of the list of contents by rank, run by the chief.

        Raises:
            ReplicaError: when another process is gone, does not answer or has failed.
        """
        try:
            if self.rank == 0:
                content = combine([content, *self.receive_all(DATA)])
            for rank, connection in self._peers.items():
                self._send(rank, connection, DATA + content)
            return content if self.rank == 0 else self._receive(0, DATA, WATCHDOG_SECONDS)
        except UserError as error:
            self.failure = error
            raise

    def receive_all(self, kind):
        """Return what each peer sends next, by rank."""
        return [self._receive(rank, kind, WATCHDOG_SECONDS) for rank in self._peers]

    def order(self):
        """Wait for the chief's next order, however long; returns its content.

        Raises:
            RunEnded: when the chief ended the run.
            ReplicaError: when it failed or is gone.
        """
        return self._receive(0, ORDER, None)

    def _send(self, rank, connection, frame):
        try:
            connection.send_bytes(frame)
        except OSError as error:
            raise self._lost(rank) from error

    def _receive(self, rank, kind, seconds):
        connection = self._peers[rank]
        try:
            if not connection.poll(seconds):
                raise TimeoutError
            frame = connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._lost(rank) from error
        content = frame[1:]
        if frame[:1] == END:
            raise RunEnded(int(content))
        if frame[:1] == ERROR:
            raise ReplicaError(*json.loads(content))
        if frame[:1] != kind:
            raise ReplicaError(f"{self.name_of(rank)} is not at the same place of the run")
        return content

    def _lost(self, rank):
        return ReplicaError(f"{self.name_of(rank)} is gone or does not answer; "
                            "to continue from the last checkpoint: --resume")


class Leader:
    """The chief's `Trainer`: each call is taken by the workers as well.

    Attributes:
        config, state, feed, replica: of the trainer.
    """

    def __init__(self, trainer, cluster):
        self.config, self.state, self.feed = trainer.config, trainer.state, trainer.feed
        self.replica, self._trainer, self._cluster = trainer.replica, trainer, cluster

    def train(self, batches):
        """Take a step for each batch; see `Trainer.train`."""
        self._cluster.tell(ORDER, json.dumps(len(batches)).encode())
        if any(map(int, self._cluster.receive_all(ORDER))):
            # A worker was asked to stop: the loop stops after this call.
            signal.raise_signal(signal.SIGTERM)
        return take_steps(self._trainer, batches, self._cluster)


def follow(trainer, stop, cluster):
    """Take the steps that the chief orders, until it raises `RunEnded`.

    Args:
        trainer: `Trainer`, in the chief's state.
        stop: this process' `StopRequest`, of which the chief is told.
        cluster: `Cluster`.
    """
    state, feed, batches = trainer.state, trainer.feed, None
    while True:
        steps = int(cluster.order())
        cluster.tell(ORDER, str(int(stop.requested)).encode())
        done, first = divmod(int(state.step), feed.steps_per_epoch)
        if batches is None or first == 0:
            batches = feed.epoch_batches(done + 1)
        take_steps(trainer, batches[first : first + steps], cluster)


def take_steps(trainer, batches, cluster):
    """Take a step for each batch; a failed exchange is raised as what it was."""
    try:
        return trainer.train(batches)
    except Exception as error:
        raise cluster.failure or error from error


def wait_for_workers(place, key):
    """Return a dict of rank → (`Connection`, host) of all workers."""
    deadline, workers = time.monotonic() + JOIN_SECONDS, {}
    arrived, pending = queue.SimpleQueue(), collections.deque()
    try:
        host, port = _split(place.chief)
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UserError(f"the chief cannot listen at {place.chief}, expected its own address: "
                        f"{describe_os_error(error)}") from error
    print(f"processes   waiting for {place.world_size - 1} others at {place.chief}", flush=True)
    with server:
        server.settimeout(RETRY_SECONDS)
        while len(workers) < place.world_size - 1:
            if time.monotonic() > deadline:
                missing = min(set(range(1, place.world_size)) - workers.keys())
                raise ReplicaError(f"process {missing} of {place.world_size} did not come within "
                                   f"{JOIN_SECONDS} seconds")
            with contextlib.suppress(OSError):
                pending.append(server.accept()[0])
                threading.Thread(target=_admit, args=[pending[-1], key, place, arrived],
                                 daemon=True).start()
            if len(pending) > MOST_HANDSHAKES:
                _cut_off(pending.popleft())
            while not arrived.empty():
                rank, version, host, connection = arrived.get()
                if version != __version__:
                    raise UserError(f"process {rank} of {place.world_size} has version {version} "
                                    f"of this project, expected {__version__}")
                workers[rank] = connection, host
    return workers


def _admit(peer, key, place, arrived):
    """Let a worker in that proves to hold the key, in a thread of its own."""
    with contextlib.suppress(Exception), handshake(peer) as connection:
        deliver_challenge(connection, key)
        answer_challenge(connection, key)
        rank, version, host = json.loads(connection.recv_bytes(MOST_HELLO))
        if rank in range(1, place.world_size):
            arrived.put((rank, str(version), str(host), _kept(connection)))


def find_chief(place, key):
    """Return {0: (`Connection`, host)} of the chief."""
    deadline, host, port = time.monotonic() + JOIN_SECONDS, *_split(place.chief)
    while True:
        try:
            peer = socket.create_connection((host, port), HANDSHAKE_SECONDS)
            with handshake(peer) as connection:
                answer_challenge(connection, key)
                deliver_challenge(connection, key)
                hello = [place.rank, __version__, socket.gethostname()]
                connection.send_bytes(json.dumps(hello).encode())
                return {0: (_kept(connection), host)}
        except AuthenticationError as error:
            raise UserError(f"{KEY}: expected the key that the process at {place.chief} has, "
                            "got another one") from error
        except Exception as error:  # not there yet, or no chief
            if time.monotonic() > deadline:
                raise ReplicaError(f"the chief does not answer at {place.chief} within "
                                   f"{JOIN_SECONDS} seconds") from error
        time.sleep(RETRY_SECONDS)


@contextlib.contextmanager
def handshake(peer):
    """Give a `with` block a `Connection` over a socket, and only a few seconds."""
    peer.settimeout(None)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    timer = threading.Timer(HANDSHAKE_SECONDS, _cut_off, [peer])
    timer.daemon = True
    timer.start()
    try:
        with Connection(os.dup(peer.fileno())) as connection:
            yield connection
    finally:
        timer.cancel()
        peer.close()


def _kept(connection):
    """Return the connection for longer than its handshake, with limits to what it waits for."""
    kept = Connection(os.dup(connection.fileno()))
    with socket.socket(fileno=os.dup(kept.fileno())) as options:
        options.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            options.setsockopt(socket.SOL_SOCKET, limit, struct.pack("ll", WATCHDOG_SECONDS, 0))
    return kept


def _cut_off(peer):
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
