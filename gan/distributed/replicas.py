"""The processes that train one run together, each with one device and its share of every batch.

Every process holds the whole state in plain variables and takes the same steps. What depends on
the rest of the batch is averaged or gathered over all of them, so that the step is the one that
a single process would take. `Alone` here and `gan.distributed.several.Several` have the same
methods: the step and the loop know neither how many processes there are nor which they run in.
"""

import contextlib

from gan.common.errors import UserError

EXIT_LOST = 75  # "try again" among the codes of sysexits.h: nothing is wrong with the input


class Alone:
    """A process that trains by itself: its share is the batch.

    Attributes:
        index: this process' number; 0 is the chief, which leads and writes.
        count: number of processes.
        local_index, local_count: the same among those on this machine.
    """

    index = local_index = 0
    count = local_count = 1

    @property
    def chief(self):
        """Whether this process leads and writes."""
        return self.index == 0

    def describe(self):
        """Return how many processes share a batch, in words after the name of the device."""
        return ""

    def share(self, rows):
        """Return this process' rows of a whole batch: [batch, ...] → [batch / count, ...]."""
        return rows

    def mean(self, tensors, precision="float32"):
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


ALONE = Alone()


class PartnerError(UserError):
    """Another process of the run ended with an error, which the message repeats."""


class LostPartnerError(PartnerError):
    """Another process of the run does not come or does not answer any more."""

    exit_code = EXIT_LOST


class DismissedError(Exception):
    """The chief has ended the run; the argument is the exit code."""
