"""Processes on several machines that train one run: a chief, and workers that it leads."""

import contextlib
import json
import os
import re
import signal
from typing import NamedTuple

from gan import __version__
from gan.common.errors import UserError
from gan.distributed import rendezvous
from gan.distributed.rendezvous import ReplicaError, split_address

KEY, SHORTEST_KEY = "GAN_CLUSTER_KEY", 16  # characters
JOBS = ("chief", "master", "worker")  # of TF_CONFIG, the one with the chief first
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID",
         "SLURM_LOCALID")
FIRST_PORT, PORTS = 20000, 10000  # of Slurm's jobs, each by its number
EXAMPLE = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
CONTENT, ERROR = b"c", b"e"  # first byte of a message


class Place(NamedTuple):
    """Place of a process in a cluster."""

    rank: int  # 0 is the chief
    world_size: int
    chief: str  # "host:port" that it listens at
    local_rank: int = 0  # among the processes of a machine, as far as known


def find_place(environment=os.environ):
    """Return the `Place` that TF_CONFIG or a step of Slurm tells; None for a single process."""
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
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
            ValueError) as error:
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


def first_node(nodes):
    """Return the first host of a list as Slurm writes it: "gpu[07-09,12],big1" → "gpu07"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]


@contextlib.contextmanager
def joined(config, environment=os.environ):
    """Join the cluster that a scheduler started this process in, for a `with` block.

    Yields a `Cluster`, or None for a single process.
    """
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
    meet = rendezvous.find_chief if place.rank else rendezvous.wait_for_workers
    cluster = Cluster(place, meet(place, f"{key} {__version__}".encode()))
    try:
        yield cluster
    except BaseException as error:
        words = str(error) or type(error).__name__
        if not isinstance(error, ReplicaError):  # else it is the other's, or of it
            words = f"{cluster.name_of(place.rank)}: {words}"
        cluster.send(words.encode(), ERROR)
        raise


class Cluster:
    """The connections of a process: the chief's with all workers, a worker's with the chief."""

    def __init__(self, place, peers):
        """
        Args:
            place: `Place`.
            peers: dict of rank → `Connection`.
        """
        self.rank, self.world_size, self.local_rank = place.rank, place.world_size, place.local_rank
        self.failure = None  # the `ReplicaError` that ended an exchange
        self._peers = peers

    def name_of(self, rank):
        """Return what a process is called in messages."""
        return f"process {rank} of {self.world_size}" + (" (the chief)" if rank == 0 else "")

    def send(self, content, kind=CONTENT):
        """Send the same bytes to all peers; who is gone is missed when its answer is."""
        for connection in self._peers.values():
            with contextlib.suppress(OSError):
                connection.send_bytes(kind + content)

    def receive(self, forever=False):
        """Return what each peer sends next, by rank; `ReplicaError` if one fails or is gone.

        Args:
            forever: whether a peer may be busy for however long.
        """
        seconds = None if forever else rendezvous.WATCHDOG_SECONDS
        return [self._receive(rank, seconds) for rank in self._peers]

    def _receive(self, rank, seconds):
        try:
            if not self._peers[rank].poll(seconds):
                raise TimeoutError
            message = self._peers[rank].recv_bytes()
        except (EOFError, OSError) as error:
            raise ReplicaError(f"{self.name_of(rank)} is gone or does not answer; to continue "
                               "from the last checkpoint: --resume") from error
        if message.startswith(ERROR):
            raise ReplicaError(message[1:].decode())
        return message[1:]

    def exchange(self, content, combine):
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


class Leader:
    """The chief's `Trainer`: the workers take the steps of each call as well."""

    def __init__(self, trainer, cluster):
        self.config, self.state, self.feed = trainer.config, trainer.state, trainer.feed
        self.replica, self._trainer, self._cluster = trainer.replica, trainer, cluster

    def train(self, batches):
        """Take a step for each batch; see `Trainer.train`."""
        self._cluster.send(str(len(batches)).encode())
        if any(map(int, self._cluster.receive())):
            # A worker was asked to stop: the loop stops after this call.
            signal.raise_signal(signal.SIGTERM)
        return _take_steps(self._trainer, batches, self._cluster)


def follow(trainer, stop, cluster):
    """Take the steps that the chief orders, until it ends the run.

    Args:
        trainer: a worker's `Trainer`, in the chief's state.
        stop: its `StopRequest`, of which the chief is told.
        cluster: `Cluster`.
    """
    state, feed, batches = trainer.state, trainer.feed, None
    while steps := int(cluster.receive(forever=True)[0] or 0):
        cluster.send(str(int(stop.requested)).encode())
        done, first = divmod(int(state.step), feed.steps_per_epoch)
        if batches is None or first == 0:
            batches = feed.epoch_batches(done + 1)
        _take_steps(trainer, batches[first : first + steps], cluster)


def _take_steps(trainer, batches, cluster):
    try:
        return trainer.train(batches)
    except Exception as error:
        raise cluster.failure or error from error  # not what TensorFlow made of it
