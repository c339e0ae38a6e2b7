"""Evaluator of generated samples against a data set and its real samples."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np

from gan import __version__
from gan.common.errors import UserError, counted
from gan.common.files import cache_folder, read_json, write_text
from gan.data.pixels import Subset, digest_images, on_grounds, slices_of
from gan.evaluate import metrics
from gan.evaluate.features import INCEPTION_IMAGES, extractor_for
from gan.evaluate.metrics import NotMeasurableError, Patches, parts_of
from gan.evaluate.neighbors import nearest_images
from gan.evaluate.registry import METRICS

COUNT, LEAST_COUNT = 10_000, 1_000  # samples generated; of large images fewer
LARGE = 128**2  # pixels of an image; of larger ones fewer are generated, in proportion
NEIGHBOR_COUNT = 5_000  # images of either side at most, for precision, recall and KID
COPY_COUNT = 2_000  # images compared with every training image
POINT_COUNT = 2_000  # points of either side at most, likewise
DRAW_BATCH = 500


class Drawn:
    """Samples that `draw`, int64 seeds [n] → [n, *shape], makes when a slice of them is read."""

    def __init__(self, draw, count, first_seed=0, shape=()):
        self._draw, self._first, self.shape = draw, first_seed, (count, *shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, part):
        seeds = np.arange(*part.indices(len(self)), dtype=np.int64) + self._first
        return np.concatenate([np.asarray(self._draw(seeds[here])) for here in slices_of(
            seeds, DRAW_BATCH, metrics.VALUES, self.shape[1:])])


class RealImages:
    """The training images, or those at some places, and what is known of them once needed."""

    def __init__(self, dataset, extractor, places=None):
        self.extractor, self.dataset, self._whole = extractor, dataset, places is None
        self.images = dataset.images if places is None else Subset(dataset.images, places)
        self._order = np.random.default_rng(0).permutation(len(self.images))

    @functools.cached_property
    def statistics(self):
        known = self.extractor.statistics if self._whole else None
        return known or metrics.statistics(self.extractor.extract(self.images)[0])

    @functools.cached_property
    def frequencies(self):
        counts = np.bincount(self.dataset.labels, minlength=len(self.dataset.class_names))
        return counts / counts.sum()

    @functools.cached_property
    def near(self):
        return self.extractor.extract(Subset(self.images, self._order[:NEIGHBOR_COUNT]))[0]

    @functools.cached_property
    def patches(self):
        patches = Patches(len(self.images), self.images.shape[1:])
        for part in parts_of(Subset(self.images, np.sort(self._order[: metrics.PATCHED]))):
            patches.add(part)
        return patches.scales()


def coordinates_of(points):
    """Return an extractor of points, float32 [N, D]: their coordinates are the features."""
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    return SimpleNamespace(
        kind="coordinates", description="coordinates, in standard deviations of the data",
        accuracy=None, statistics=None,
        extract=lambda part: ((np.asarray(part[:]) - mean) / deviation, None))


class Comparison:
    """Images beside the real ones, read once in parts: what metrics are computed from.

    `images`, uint8 [N, H, W, C], come in random order, as some metrics take the first; `most` is
    how many precision and recall are of, and `unseen` are real images that were not trained on.
    """

    def __init__(self, images, real, most, unseen):
        self.real, self._images, self._unseen, self._most = real, images, unseen, most
        self._patches = Patches(len(images), images.shape[1:]) if len(images.shape) == 4 else None
        features, probabilities, self.numbers = [], [], {}  # of metrics without a function
        for part in _ahead(map(on_grounds, parts_of(images))):
            found, classes = real.extractor.extract(part)
            features.append(found)
            probabilities.append(classes)
            if self._patches is None:
                continue
            self._patches.add(part)
            for name, metric in METRICS.items():
                values = metric.per_image and metric.per_image(part, real.dataset.background)
                if values is not None:
                    total = self.numbers.get(name, 0.0)
                    self.numbers[name] = total + float(np.sum(values)) / len(images)
        self.features = np.concatenate(features)
        if real.extractor.kind == "classifier":
            self.numbers |= metrics.class_metrics(np.concatenate(probabilities), real.frequencies)

    def frechet(self, count=None):
        """Return the Fréchet distance of the first `count` images, or of all."""
        return metrics.frechet_distance(metrics.statistics(self.features[:count]),
                                        self.real.statistics)

    def pairs(self, most=NEIGHBOR_COUNT):
        """Return features of equal numbers of real images and of these."""
        count = min(most, NEIGHBOR_COUNT, len(self.real.images), len(self.features))
        return self.real.near[:count], self.features[:count]

    @functools.cached_property
    def precision_recall(self):
        return metrics.precision_recall(*self.pairs(self._most))

    @functools.cached_property
    def swd(self):
        finest, *coarse = metrics.sliced_wasserstein(self.real.patches, self._patches.scales())
        return finest, float(np.mean(coarse)) if coarse else None

    @functools.cached_property
    def nearest(self):
        """Distances to the nearest training image, of these images and of unseen ones, or None."""
        return None if self._unseen is None else [
            nearest_images(images[:COPY_COUNT], self.real.images, 1).distances[:, 0]
            for images in (self._images, self._unseen)]


class Evaluator:
    """Measures generated samples and real ones alike; it costs nothing until it is asked.

    `count` samples are generated (None: 10,000, fewer of more than 128 x 128 pixels), and as many
    real ones taken where there are enough. What `wanted` means, see `extractor_for`. The reasons
    of what could not be measured are in `left_out`, dict of "generated", "reference" or "split" →
    dict of metric → reason.
    """

    def __init__(self, dataset, wanted="auto", count=None):
        self._whole, self._wanted = dataset, wanted
        pixels = math.prod(dataset.sample_shape[:-1])
        self.count = count or max(LEAST_COUNT, COUNT * LARGE // max(LARGE, pixels))
        self.samples = self._measured_by = "images"
        if dataset.box:
            self.samples = "points"
            self._measured_by = "modes" if dataset.modes else "coordinates"  # see `Metric.samples`
        self.left_out = {"generated": {}, "reference": {}, "split": {}}
        self._real = {}  # "reference" or "split" → its metrics

    def measure(self, samples, slow=False):
        """Return the metrics of samples, uint8 [N, H, W, C] or float [N, 2]: name → finite number.

        `slow` ones compare them with every training image, too.
        """
        comparison = self._compare(samples)
        found, self.left_out["generated"] = self._collect(comparison, slow)
        for name, real, measured in (("frechet_ratio", self._test, self.reference),
                                     ("frechet_split_ratio", self._split[0], self.split)):
            if ("frechet" in found and METRICS[name].slow <= slow and measured().get("frechet")
                    and len(samples) >= len(real)):  # of fewer it comes out larger
                found[name] = comparison.frechet(len(real)) / measured()["frechet"]
        return found

    def reference(self):
        """Return the metrics of as many real test samples; empty without any."""
        return self._measure_real("reference", self._test)

    def split(self):
        """Return the metrics of a sixth of the training samples beside the others.

        Test images by other writers are farther from training images than these from each other.
        """
        return self._measure_real("split", *self._split)

    def real(self):
        """Return the metrics to judge by: of test samples, or else of the training split."""
        return self.reference() or self.split()

    def real_counts(self):
        """Return dict of "reference" and "split" → how many real samples each is of."""
        return {"reference": len(self._test or ()), "split": len(self._split[0] or ())}

    def real_source(self):
        """Return in words which real samples `real` is of; empty without any."""
        counts = self.real_counts()
        if self.reference():
            return counted(counts["reference"], f"test {self.samples[:-1]}")
        text = f"{counts['split']:,} training {self.samples} against the others"
        return text if self.split() else ""

    def features(self):
        """Return what samples are compared in, dict for JSON: kind, description, accuracy."""
        return {name: getattr(self.extractor, name) for name in ("kind", "description", "accuracy")}

    @functools.cached_property
    def dataset(self):
        dataset = self._whole.sample
        if dataset.box or dataset.sample_shape[-1] != 4:
            return dataset
        tests = dataset.test_images
        return dataclasses.replace(
            dataset, images=on_grounds(dataset.images), images_digest=None,
            test_images=None if tests is None else on_grounds(tests))

    @functools.cached_property
    def extractor(self):
        if self._measured_by == "modes":
            return SimpleNamespace(kind="modes", description="distance from the known modes",
                                   accuracy=None)
        if self._measured_by == "coordinates":
            return coordinates_of(self.dataset.images)
        return extractor_for(self.dataset, self._wanted)

    @functools.cached_property
    def _training(self):
        return RealImages(self.dataset, self.extractor)

    @functools.cached_property
    def _split(self):
        """A sixth of the training samples, and the `RealImages` of the others, or None for both."""
        images = self.dataset.images
        if self._measured_by == "modes" or len(images) < 6:
            return None, None
        most = INCEPTION_IMAGES if self.extractor.kind == "inception" else 6 * COUNT
        order = np.random.default_rng(0).permutation(len(images))[:most]
        part, others = np.split(order, [len(order) // 6])
        return (Subset(images, part[: self.count]),
                RealImages(self.dataset, self.extractor, np.sort(others)))

    @functools.cached_property
    def _test(self):
        images = self.dataset.test_images
        if images is None:
            return None
        # In random order: they may lie class by class, and some metrics take the first.
        return Subset(images, np.random.default_rng(0).permutation(len(images))[: self.count])

    @property
    def _most(self):
        """Images that precision and recall are of, so that all are of equal numbers."""
        real = self._split[0] if self._test is None else self._test
        most = POINT_COUNT if self._measured_by == "coordinates" else self.count
        return most if real is None or len(real) <= metrics.NEIGHBORS else min(most, len(real))

    def _compare(self, samples, real=None):
        if self._measured_by == "modes":
            return SimpleNamespace(numbers=metrics.mode_metrics(samples[:], *self.dataset.modes))
        return Comparison(samples, real or self._training, self._most, self._test)

    def _measure_real(self, whose, samples, real=None):
        if samples is None:
            return {}
        if whose not in self._real:
            key = [whose, self.dataset.fingerprint, self.count, self._most, self.features(),
                   self._test and digest_images(self._test).hexdigest()]
            self._real[whose], self.left_out[whose] = _cached(
                key, lambda: self._collect(self._compare(samples, real)))
        return dict(self._real[whose])

    def _collect(self, comparison, slow=False):
        """Return the metrics of a comparison, and why others have no value: two dicts."""
        found, left_out = {}, {}
        for name, metric in METRICS.items():
            if self._measured_by not in metric.samples or metric.slow > slow:
                continue
            try:
                value = (metric.function(comparison) if metric.function
                         else comparison.numbers.get(name))
            except NotMeasurableError as error:
                left_out[name] = str(error)
                continue
            if value is not None and math.isfinite(value):
                found[name] = value if isinstance(value, int) else float(value)
            elif value is not None:
                left_out[name] = f"came out as {value}"
        return found, left_out


def _ahead(items):
    """Yield the items of an iterator; a second thread makes the next one meanwhile."""
    with ThreadPoolExecutor(1) as aside:
        coming = aside.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = aside.submit(next, items, None)
            yield item


def _cached(key, compute):
    """Return the two dicts of `compute()`, or what an earlier process left of them in the cache."""
    # What another version measured may mean something else.
    text = json.dumps([__version__, *key], sort_keys=True)
    path = cache_folder() / f"reference_{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(UserError, KeyError):  # there is none, or it is damaged
        known = read_json(path, "the metrics of real images")
        return known["metrics"], known["left_out"]
    found, left_out = compute()
    with contextlib.suppress(OSError, UserError):
        write_text(path, json.dumps({"metrics": found, "left_out": left_out}))
    return found, left_out
