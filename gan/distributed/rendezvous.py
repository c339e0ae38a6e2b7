"""Rendezvous of the processes of a run, authenticated with a key that they share.

The chief alone listens, at its own address and until all others have come. Whoever connects
has to prove that it holds the key before anything that it says is read.
"""

import collections
import contextlib
import os
import queue
import re
import socket
import struct
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

from gan.common.errors import UserError, describe_os_error

JOIN_SECONDS = 600  # for all processes to come
HANDSHAKE_SECONDS = 5  # for a peer to prove that it holds the key
MOST_HANDSHAKES = 64  # at a time; beyond these the oldest is cut off
RETRY_SECONDS = 0.5
WATCHDOG_SECONDS = 300  # without an answer in a step
RANK = struct.Struct("!I")  # all that a worker says


class ReplicaError(UserError):
    """A replica failed, is gone or does not answer."""

    exit_code = 75  # "try again" in sysexits.h: nothing is wrong with the input


def split_address(address):
    """Return the host and port of "host:port"; ValueError for anything else."""
    match = re.fullmatch(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})", address)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(address)
    return match[1], int(match[2])


def wait_for_workers(place, key):
    """Return a dict of rank → `Connection` of all workers, who prove to hold the key."""
    deadline, workers = time.monotonic() + JOIN_SECONDS, {}
    arrived, pending = queue.SimpleQueue(), collections.deque()
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
                threading.Thread(target=_admit, args=[pending[-1], key, arrived],
                                 daemon=True).start()
            if len(pending) > MOST_HANDSHAKES:
                _cut_off(pending.popleft())
            while not arrived.empty():
                connection, rank = arrived.get()
                if rank in range(1, place.world_size):
                    workers[rank] = connection
    return dict(sorted(workers.items()))


def find_chief(place, key):
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


def _admit(peer, key, arrived):
    with contextlib.suppress(Exception):  # whatever a stranger does
        arrived.put(_authenticate(peer, key))


def _authenticate(peer, key, rank=None):
    """Return a `Connection` to a peer that holds the key, and the worker's rank.

    Without a rank this is the chief, and the worker tells its own.
    """
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
            rank, = RANK.unpack(connection.recv_bytes(RANK.size))
        else:
            answer_challenge(connection, key)
            deliver_challenge(connection, key)
            connection.send_bytes(RANK.pack(rank))
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
