"""When a run draws its generator: after which epochs, and at which steps within them."""

FIRST = 4  # steps, before which nothing but noise is to be seen
GROWTH = 2**0.5  # of the step from one picture within the first epoch to the next
MOST = 40  # pictures after epochs: drawing them can take longer than a short epoch


class PictureSteps:
    """Answers from the options and the length of an epoch alone, so that a resumed run agrees."""

    def __init__(self, interval, per_epoch, epochs):
        """
        Args:
            interval: `--sample-interval`: "auto", a number of epochs, or steps such as "500s".
            per_epoch: steps of an epoch.
            epochs: of the run.
        """
        self._interval, self._per_epoch, self._epochs = interval, per_epoch, epochs

    def after_epoch(self, epoch):
        """Return whether there is a picture after an epoch that is not the last."""
        if self._interval == "auto":
            return epoch % -(-self._epochs // MOST) == 0
        return epoch % self._interval == 0 if isinstance(self._interval, int) else True

    def within(self, epoch):
        """Return the steps before the end of an epoch at which there is one, ascending.

        Args:
            epoch: its number, from 1.

        Returns:
            list of int, counted from the start of the run; the epoch's last step is
            not among them.
        """
        begin, end = (epoch - 1) * self._per_epoch, epoch * self._per_epoch
        if isinstance(self._interval, int):
            return []
        if self._interval != "auto":
            every = int(self._interval.removesuffix("s"))
            return list(range(begin // every * every + every, end, every))
        steps, step = [], float(FIRST)
        while epoch == 1 and round(step) < end:  # nearly all that can be seen happens here
            steps.append(round(step))
            step *= GROWTH
        return steps
