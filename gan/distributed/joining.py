"""Joining the cluster in which several processes train one run, and leaving it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

from gan import __version__
from gan.common.command_line import flag
from gan.common.device import cores, import_tensorflow, use_gpu
from gan.common.errors import STOP_SIGNALS, UserError, leave_abruptly
from gan.config import OWN
from gan.distributed.cluster import find_place
from gan.distributed.meeting import meet, name_of
from gan.distributed.replica import SINGLE, DismissedError, LostPartnerError, PartnerError
from gan.distributed.watch import Watch

HEARTBEAT_SECONDS = 12  # without a sign of life, after which a process counts as gone
FAREWELL_SECONDS = 10  # for telling the others why this process ends
JOIN_SECONDS = 25  # for TensorFlow's own meeting, when all processes are known to be there
CHIEFS_SERVICE = "CoordinationService"  # in the errors of those whom the chief does not answer
WATCHDOG = """
import os, select, sys
if not select.select([0], [], [], float(sys.argv[1]))[0]:
    os.write(2, sys.argv[2].encode())
    os.kill(int(sys.argv[3]), 9)
"""


@contextlib.contextmanager
def joined(config, continuation):
    """Meet the other processes of the run for the time of a `with` block.

    Args:
        config: `TrainConfig` from the command line.
        continuation: the command that continues the run when a process was lost.

    Yields:
        The `Several` of this process; `SINGLE` if there are no others.

    Raises:
        PartnerError: when another process does not come, is started otherwise,
            ends with an error or is lost. All raise the same.
    """
    place = find_place()
    if place is None:
        yield SINGLE
        return
    if config.devices not in (1, "auto", place.count):
        raise UserError("--devices: expected to be left out where TF_CONFIG or Slurm tell the "
                        f"processes ({place.count}), got: {config.devices}")
    if ":" in config.device:
        raise UserError("--device: expected auto, cpu or gpu for one of several processes, got: "
                        f"{config.device}")
    import_tensorflow(config.verbose)
    processes = meet(place, _card(config), config.join_timeout)
    hosts = [host for _, host in processes]
    neighbours = [index for index, host in enumerate(hosts) if host == hosts[place.index]]
    local_index, local_count = neighbours.index(place.index), len(neighbours)
    _take_device(config.device, local_index, local_count)
    leave_abruptly()  # TensorFlow would wait for the others once more at the end
    replicas = join([address for address, _ in processes], place.index, local_index, local_count,
                    continuation)
    try:
        yield replicas
    except (PartnerError, DismissedError):
        raise
    except BaseException as error:
        raise _farewell(replicas, error, hosts, continuation) from error


def _farewell(replicas, error, hosts, continuation):
    """Tell the others why this process ends; returns the exception to raise."""
    import tensorflow as tf

    if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError,
                          tf.errors.DeadlineExceededError, tf.errors.CancelledError,
                          tf.errors.FailedPreconditionError, tf.errors.InternalError)):
        lost = [name_of(index, replicas.world_size, host) for index, host in enumerate(hosts)
                if index != replicas.rank and (
                    f"task:{index}" in str(error) or index == 0 and CHIEFS_SERVICE in str(error))]
        return LostPartnerError(f"{(lost or ['another process'])[0]} is gone or does not answer; "
                                "what came after the last checkpoint is lost. To continue: "
                                f"{continuation}")
    who = name_of(replicas.rank, replicas.world_size, hosts[replicas.rank])
    words = str(error) if isinstance(error, UserError) else f"ended by {type(error).__name__}"

    def tell():
        with contextlib.suppress(Exception):  # they may be gone
            replicas.exchange({"error": f"{who}: {words}"[:2000]})

    # In a thread, as the others may never listen.
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    teller.join(FAREWELL_SECONDS)
    return UserError(f"{who}: {words}") if isinstance(error, UserError) else error


def join(addresses, index, local_index=0, local_count=1, continuation="--resume",
         name="train_gan.py"):
    """Join the cluster; returns the `Several` that the step and the loop talk to.

    To be called once, with TensorFlow imported and nothing computed yet.

    Args:
        addresses: list of "host:port", one a process.
        index, local_index, local_count: see `gan.distributed.replica.SingleReplica`.
        continuation: the command that continues the run.
        name: of the program, written before a message.
    """
    message = f"{name}: error: the other processes did not join within {JOIN_SECONDS} seconds\n"
    # TensorFlow waits with Python's lock held: no thread, signal handler or time-out
    # of this process would be heeded.
    with subprocess.Popen([sys.executable, "-c", WATCHDOG, str(JOIN_SECONDS), message,
                           str(os.getpid())], stdin=subprocess.PIPE) as watchdog:
        strategy = _start_servers(addresses, index)
        watchdog.stdin.close()
    for number in STOP_SIGNALS:  # TensorFlow has taken SIGTERM to itself
        signal.signal(number, signal.getsignal(number))

    from gan.distributed.several import Several

    watch = Watch(f"{name}: error: {name_of(index, len(addresses))}", continuation)
    replicas = Several(index, len(addresses), local_index, local_count, watch)
    replicas.strategy = strategy  # the servers live as long as this
    return replicas


def _start_servers(addresses, index):
    """Start TensorFlow's server in this process and connect it with the others'."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}), task_type="worker", task_id=index,
        rpc_layer="grpc")
    jobs = tf.compat.v1.ConfigProto().experimental.coordination_config.coordinated_job_list
    # What the strategy would ask for by itself, but with a limit to being silent.
    context.context().configure_coordination_service(
        service_type="standalone", service_leader="/job:worker/replica:0/task:0",
        heartbeat_timeout_in_ms=1000 * HEARTBEAT_SECONDS, shutdown_barrier_timeout_in_ms=1000,
        coordinated_jobs=[jobs.add(name="worker", num_tasks=len(addresses))])
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _take_device(wanted, local_index, local_count):
    """Give this process its own GPU, or its part of the processor's cores."""
    import tensorflow as tf

    if wanted != "cpu" and tf.config.list_physical_devices("GPU"):
        use_gpu(local_index)
    else:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores() // local_count))


def _card(config):
    """What must be the same in all processes: versions and options, in words."""
    import keras
    import tensorflow as tf

    options = {flag(name): str(value) for name, value in vars(config).items() if name not in OWN}
    return {"the versions": f"gan {__version__}, tensorflow {tf.__version__}, "
                            f"keras {keras.__version__}", **options}
