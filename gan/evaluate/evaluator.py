"""What the evaluators of all kinds of samples share.

Each has `count`, how many samples it wants; `samples`, what these are called;
`features()`, what they are compared in; `measure(samples)`, `reference()`,
`split()`, `real()`, `real_source()`, `memorisation(samples)`, and `left_out`, the
metrics that had no value and why. They cost nothing until the first of these is called.
"""

import functools
import math

from gan.evaluate.metrics import NotMeasurableError

COUNT = 10_000  # samples generated


class Evaluator:
    """What the evaluators share.

    Attributes:
        dataset: what samples are compared with: a `Dataset` (of images in shards a
            sample of fixed size) or a `PointDataset`.
        left_out: dict of "generated", "reference" or "split" → dict of metric → reason.
    """

    count, samples = COUNT, "images"

    def __init__(self, dataset):
        """
        Args:
            dataset: a `Dataset` or a `PointDataset`.
        """
        self._whole = dataset
        self.left_out = {"generated": {}, "reference": {}, "split": {}}
        self._reference = None

    @functools.cached_property
    def dataset(self):
        return self._whole.sample()

    def measure(self, samples):
        """Return the metrics of generated samples, dict of name → finite number.

        Args:
            samples: uint8 [N, H, W, C] or float [N, 2], more than the number of
                features for a Fréchet distance that means something.
        """
        self.left_out["generated"] = {}
        return self._collect("generated", self._groups(samples))

    def reference(self):
        """Return the metrics of the real test samples; empty without any."""
        if self._reference is None:
            samples = self._unseen()
            self._reference = {} if samples is None else self._measure_reference(samples)
        return dict(self._reference)

    def _measure_reference(self, samples):
        return self._collect("reference", self._groups(samples))

    def split(self):
        """Return the metrics of some training samples, compared with the others.

        Empty for points, whose test points are drawn as the training points are.
        """
        return {}

    def real(self):
        """Return the metrics to judge generated samples by.

        Those of test samples; without any, those of some training samples.
        """
        return self.reference() or self.split()

    def real_source(self):
        """Return in words which real samples `real` is of; empty without any."""
        if self.reference():
            return f"test {self.samples}"
        return f"a sixth of the training {self.samples} against the others" if self.split() else ""

    def memorisation(self, samples):
        """Return how near samples come to training samples; empty where it has no meaning."""
        return {}

    def _collect(self, whose, groups):
        """Compute groups of metrics; those without a value go to `left_out`.

        Args:
            whose: key of `left_out`.
            groups: list of (names of metrics, function that returns them).
        """
        found, left_out = {}, self.left_out[whose]
        for names, compute in groups:
            try:
                values = compute()
            except NotMeasurableError as error:
                left_out |= dict.fromkeys(names, str(error))
                continue
            for name, value in values.items():
                if math.isfinite(value):
                    found[name] = value
                else:
                    left_out[name] = f"came out as {value}"
        return found
