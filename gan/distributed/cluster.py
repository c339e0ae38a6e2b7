"""Which processes train a run together, as the variables of schedulers tell it."""

import json
import os
import re
from dataclasses import dataclass

from gan.common.errors import UserError

CHIEFS = ("chief", "master", "worker")  # jobs of TF_CONFIG, the one with the chief first
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
FIRST_PORT, PORTS = 20000, 10000  # of Slurm's jobs, each by its number


@dataclass(frozen=True)
class Place:
    """The place of one process among those that train a run together.

    Attributes:
        index: its number; 0 is the chief.
        count: number of processes.
        chief: "host:port" at which the chief waits for the others.
        address: "host:port" of this one; None: it chooses a port itself.
    """

    index: int
    count: int
    chief: str
    address: str | None = None


def find_place(environment=os.environ):
    """Return this process' `Place` in the cluster that a scheduler started it in.

    Args:
        environment: dict of variables: `TF_CONFIG`, as Kubernetes' training
            operators set it, or those of a step of Slurm.

    Returns:
        A `Place`; None for a process that trains alone.

    Raises:
        UserError: when a variable does not say what it should.
    """
    place = None
    if environment.get("TF_CONFIG"):
        place = _from_tf_config(environment["TF_CONFIG"])
    elif all(environment.get(name) for name in SLURM):
        place = _from_slurm(*(environment[name] for name in SLURM))
    return place if place and place.count > 1 else None


def _from_tf_config(text):
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        tasks = [(job, index) for job in CHIEFS for index in range(len(cluster.get(job, [])))]
        addresses = [cluster[job][index] for job, index in tasks]
        if not addresses:
            return None
        index = tasks.index((task["type"], int(task["index"])))
        if not all(re.fullmatch(r".+:\d{1,5}", address) for address in addresses):
            raise ValueError(addresses)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            'TF_CONFIG: expected {"cluster": {"worker": ["host:port", …]}, "task": {"type": '
            f'"worker", "index": 0}}}}, got: {text}') from error
    return Place(index, len(addresses), addresses[0], addresses[index])


def _from_slurm(index, count, nodes, job):
    try:
        port = FIRST_PORT + int(job) % PORTS
        return Place(int(index), int(count), f"{first_node(nodes)}:{port}")
    except ValueError as error:
        raise UserError(f"{', '.join(SLURM)}: expected those of a step of Slurm, got: {index}, "
                        f"{count}, {nodes}, {job}") from error


def first_node(nodes):
    """Return the first host of a list as Slurm writes it: "gpu[07-09,12],big1" → "gpu07"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]
