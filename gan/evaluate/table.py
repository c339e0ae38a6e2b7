"""Every metric of generated samples: what it is called, how it is written, what it means.

Whatever shows metrics reads this table: the line of an epoch, the summary of a
run, the table of `gan.evaluate`, plots and the verdict.
"""

from typing import NamedTuple


class Metric(NamedTuple):
    """How one metric is shown.

    Attributes:
        name: in history.csv and in JSON.
        label: in sentences and on axes.
        unit: "" for a plain number, "fraction" for one in [0, 1].
        format: of the number, as `format` takes it.
        better: "lower", "higher", "reference" (as near as can be to that of the
            real test samples), or "" where no direction is better.
        explanation: for a table.
        epoch: its text in the line of an epoch, with one place for the number; "": not there.
        in_summary: whether the summary of a run names it.
        distance: whether it says by itself how far samples are from the data.
    """

    name: str
    label: str
    unit: str
    format: str
    better: str
    explanation: str
    epoch: str = ""
    in_summary: bool = False
    distance: bool = False

    def show(self, value):
        """Return a value as text."""
        return format(value, self.format)


METRICS = {metric.name: metric for metric in (
    Metric("modes", "modes", "", ".4g", "higher", "modes that occur",
           epoch="{} modes", in_summary=True),
    Metric("good", "good points", "fraction", ".4g", "reference",
           "fraction of points within 3 deviations of a mode",
           epoch="{:.0%} good", in_summary=True, distance=True),
    Metric("kl", "KL", "nats", ".4g", "lower",
           "Kullback-Leibler divergence of the modes' frequencies from the data's, nats",
           in_summary=True),
    Metric("frechet", "Fréchet distance", "", ".4g", "lower",
           "Fréchet distance to the training images; lower is better",
           epoch="FD {:.4g}", in_summary=True, distance=True),
    Metric("frechet_ratio", "Fréchet distance / reference", "", ".4g", "lower",
           "the same as a multiple of the real test images'"),
    Metric("frechet_split_ratio", "Fréchet distance / training split", "", ".4g", "lower",
           "the same as a multiple of the training images' compared with each other"),
    Metric("kid", "kernel distance", "", ".4g", "lower", "kernel distance to the training images"),
    Metric("precision", "precision", "fraction", ".4g", "reference",
           "fraction of images that lie among real ones", in_summary=True),
    Metric("recall", "recall", "fraction", ".4g", "reference",
           "fraction of real images within the variety generated", in_summary=True),
    Metric("classes", "classes", "", ".4g", "higher", "classes that occur"),
    Metric("smallest_class", "rarest class", "fraction", ".4g", "reference",
           "fraction of the rarest class"),
    Metric("largest_class", "most frequent class", "fraction", ".4g", "reference",
           "fraction of the most frequent class"),
    Metric("imbalance", "imbalance", "fraction", ".4g", "lower",
           "distance of the frequencies of classes or modes from the data's"),
    Metric("confident", "confident", "fraction", ".4g", "reference",
           "fraction classified with a probability of 0.9 or more"),
    Metric("patches", "patch distance", "1/1000 deviation", ".4g", "lower",
           "sliced Wasserstein distance of fine patches to the training images'"),
    Metric("coarse_patches", "coarse patch distance", "1/1000 deviation", ".4g", "lower",
           "the same at the coarser scales"),
    Metric("background", "background", "fraction", ".4g", "reference",
           "fraction of pixels that have exactly the background's colour"),
    Metric("specks", "specks", "fraction", ".4g", "reference",
           "fraction of images with a separate blob of at most 6 pixels", in_summary=True),
    Metric("auc", "two-sample AUC", "fraction", ".4g", "reference",
           "how well a fresh classifier tells them from training images; 0.5: not at all"),
    Metric("spread", "spread", "deviations", ".4g", "reference",
           "distance of good points from their mode, in deviations"),
    Metric("nearest_ratio", "nearest distance / reference", "", ".4g", "reference",
           "distance to the nearest training image / that of test images"),
    Metric("copies", "copies", "fraction", ".4g", "lower",
           "fraction nearer to a training image than 99 % of the test images"),
)}


def epoch_text(metrics):
    """Return the metrics of an epoch in a few words, such as "8 modes, 97% good".

    Args:
        metrics: dict of name → number; what is not in the table is passed over.
    """
    return ", ".join(metric.epoch.format(metrics[name]) for name, metric in METRICS.items()
                     if metric.epoch and name in metrics)


def distance_metric(rows):
    """Return the `Metric` that says how far samples were from the data, or None.

    Args:
        rows: list of dict, the history.
    """
    for name, metric in METRICS.items():
        if metric.distance and any(name in row for row in rows):
            return metric
    return None


def distance_of(row):
    """Return how far the samples of a row were from the data, or None if not measured.

    Args:
        row: dict of name → number, with metrics or without.

    Returns:
        The Fréchet distance, or for points the fraction of bad ones: smaller is better.
    """
    metric = distance_metric([row])
    if metric is None:
        return None
    return row[metric.name] if metric.better == "lower" else 1 - row[metric.name]
