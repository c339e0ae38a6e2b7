"""One device of those that train a run together, each with its shard of every batch.

Every replica holds the whole state in plain variables and takes the same steps. What depends on
the rest of the batch is reduced or gathered over all of them, so that the step is the one that a
single device would take.
"""

import contextlib

from gan.common.errors import UserError

EXIT_LOST = 75  # "try again" among the codes of sysexits.h: nothing is wrong with the input


class SingleReplica:
    """A process that trains by itself: its share is the batch.

    Attributes:
        rank: this process' number; 0 is the chief, which leads and writes.
        world_size: number of processes.
        local_index, local_count: the same among those on this machine.
    """

    rank = local_index = 0
    world_size = local_count = 1

    @property
    def chief(self):
        """Whether this process leads and writes."""
        return self.rank == 0

    def describe(self):
        """Return how many processes share a batch, in words after the name of the device."""
        return ""

    def shard(self, rows):
        """Return this process' rows of a whole batch: [batch, ...] → [batch / count, ...]."""
        return rows

    def all_reduce_mean(self, tensors, precision="float32"):
        """Return the mean over the processes of each tensor of a list, in a graph.

        Args:
            tensors: list of float32 tensors, of the same shapes in every process.
            precision: number format in which they travel.
        """
        return tensors

    def batch_norm(self, **settings):
        """Return a layer of batch normalisation over the whole batch."""
        from gan.layers import FusedBatchNorm

        return FusedBatchNorm(**settings)

    def dropout(self, rate, **settings):
        """Return a dropout layer whose masks depend on no share."""
        from keras import layers

        return layers.Dropout(rate, **settings)

    def watched(self):
        """Return a context for a call of the train step, which ends one that hangs."""
        return contextlib.nullcontext()

    def exchange(self, message):
        """Tell all processes something and hear what each says; waits for all of them.

        Args:
            message: dict for JSON, not over 4,000 bytes of it.

        Returns:
            list of the messages, by the number of the process.

        Raises:
            PartnerError: when another process ends with an error, which it names.
            DismissedError: when the chief ends the run.
        """
        return [message]

    def hand_out(self, make=None):
        """Give the chief's content to every process; waits for all of them.

        Args:
            make: function that returns the content as bytes; None in those that receive it.

        Returns:
            The content; None where there is nobody to hand it to.

        Raises:
            PartnerError, DismissedError: see `exchange`.
        """

    def dismiss(self, code):
        """End the run in the other processes.

        Args:
            code: the exit code that they shall have.
        """


SINGLE = SingleReplica()


class PartnerError(UserError):
    """Another process of the run ended with an error, which the message repeats."""


class LostPartnerError(PartnerError):
    """Another process of the run does not come or does not answer any more."""

    exit_code = EXIT_LOST


class DismissedError(Exception):
    """The chief has ended the run; the argument is the exit code."""
