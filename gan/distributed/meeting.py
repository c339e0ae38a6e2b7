"""How the processes of a run meet before TensorFlow connects them.

TensorFlow waits for a process that does not come for ever, deaf to signals. Here
the chief waits in Python for a card from each of the others, compares the cards,
and tells everybody the same: the addresses of all, or what is wrong.
"""

import contextlib
import json
import socket
import time

from gan.common.errors import describe_os_error
from gan.distributed.replica import LostPartnerError, PartnerError

PAUSE = 0.2  # seconds between two tries to reach the chief
CARD_SECONDS = 5  # for the card of a caller; others than ours send none
MOST_BYTES = 2**20  # of a card


def meet(place, card, seconds):
    """Wait until all processes have come.

    Args:
        place: this process' `Place`.
        card: dict for JSON of what must be the same everywhere, by its name.
        seconds: to wait at most.

    Returns:
        list of (address, host) of all processes, by number.

    Raises:
        LostPartnerError, PartnerError: in all of them the same: who did not come,
            or what differs.
    """
    own = {"index": place.index, "address": place.address or _free_address(),
           "host": socket.gethostname(), "card": card}
    answer = (_receive if place.index == 0 else _call)(place, own, seconds)
    if "problem" in answer:
        raise (LostPartnerError if answer["lost"] else PartnerError)(answer["problem"])
    return [tuple(entry) for entry in answer["processes"]]


def name_of(index, count, host=None):
    """Return what a process is called in messages."""
    about = [text for text in ("the chief" if index == 0 else "", host or "") if text]
    return f"process {index} of {count}" + (f" ({', '.join(about)})" if about else "")


def differences(cards, count):
    """Return the first difference between the chief's card and another one in words, or None.

    Args:
        cards: list of dict as `meet` sends them, the chief's first.
        count: number of processes.
    """
    chief = cards[0]["card"]
    for other in cards[1:]:
        for name in chief:
            if other["card"].get(name) != chief[name]:
                who = name_of(other["index"], count, other["host"])
                return (f"{name}: {who} has {other['card'].get(name)}, the chief "
                        f"({cards[0]['host']}) has {chief[name]}; expected the same everywhere")
    return None


def _receive(place, own, seconds):
    """The chief's side: collect the cards and answer all alike."""
    deadline, callers = time.monotonic() + seconds, {}
    with contextlib.ExitStack() as stack:
        port = int(place.chief.rpartition(":")[2])
        try:
            server = stack.enter_context(socket.create_server(("", port), backlog=place.count))
        except OSError as error:
            return {"problem": f"the chief cannot wait at port {port}: {describe_os_error(error)}",
                    "lost": True}
        while len(callers) < place.count - 1 and time.monotonic() < deadline:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                caller = stack.enter_context(server.accept()[0])
                caller.settimeout(CARD_SECONDS)
                other = _read(caller)
                callers[int(other["index"])] = caller, other
        missing = sorted(set(range(1, place.count)) - callers.keys())
        cards = [own] + [other for _, (_, other) in sorted(callers.items())]
        problem = differences(cards, place.count)
        if missing:
            problem = (f"{name_of(missing[0], place.count)} did not come within {seconds:g} "
                       "seconds; start all processes at about the same time, or give "
                       "--join-timeout")
        answer = {"problem": problem, "lost": bool(missing)} if problem else {
            "processes": [(other["address"], other["host"]) for other in cards]}
        for caller, _ in callers.values():
            with contextlib.suppress(OSError):
                caller.sendall(json.dumps(answer).encode() + b"\n")
    return answer


def _call(place, own, seconds):
    """The others' side: bring the card to the chief and wait for its answer."""
    host, _, port = place.chief.rpartition(":")
    chief, deadline = name_of(0, place.count), time.monotonic() + seconds
    while True:
        try:
            # The chief may have begun to wait later than this process.
            with socket.create_connection((host, int(port)), timeout=seconds) as caller:
                # It answers when its own time is up, and knows better who is missing.
                caller.settimeout(seconds + CARD_SECONDS)
                caller.sendall(json.dumps(own).encode() + b"\n")
                return _read(caller)
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                why = describe_os_error(error) if isinstance(error, OSError) else error
                return {"lost": True, "problem":
                        f"{chief} does not answer at {place.chief} within {seconds:g} seconds "
                        f"({why}); start all processes at about the same time, or give "
                        "--join-timeout"}
            time.sleep(PAUSE)


def _read(connection):
    """Return what JSON the next line from a connection holds."""
    with connection.makefile("rb") as lines:
        return json.loads(lines.readline(MOST_BYTES))


def _free_address():
    with socket.create_server(("", 0)) as free:
        return f"{socket.gethostname()}:{free.getsockname()[1]}"
