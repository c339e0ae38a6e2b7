"""Registry of the metrics: what each is called, computed from, written as, and means."""

from typing import Any, NamedTuple

from gan.evaluate import metrics


class Metric(NamedTuple):
    """One metric, computed by `function` or `per_image`; without either, see `Comparison`."""

    name: str  # in history.csv and in JSON
    label: str  # in sentences and on axes
    better: str  # "lower", "higher" or "reference" (as near as can be to that of real samples)
    explanation: str  # for a table
    function: Any = None  # `Comparison` → number, or None where there is nothing to measure
    # (uint8 [N, H, W, C], their `Background` or None) → [N], for the mean; or None
    per_image: Any = None
    # What it is of: "images", points by their "modes", or points by their "coordinates".
    samples: tuple = ("images",)
    fraction: bool = False  # whether it lies in [0, 1]
    epoch: str = ""  # text in the line of an epoch, with places for the number and a plural
    in_summary: bool = False  # whether the summary of a run names it
    distance: bool = False  # whether it says by itself how far samples are from the data
    slow: bool = False  # whether it is measured by `gan.evaluate` only

    def show(self, value):
        """Return a value as text."""
        return f"{value:.4g}"


def _with_background(function):
    return lambda images, background: background and function(images, background.color)


METRICS = {metric.name: metric for metric in (
    Metric("modes", "modes", "higher", "modes that occur", samples=("modes",),
           epoch="{} mode{s}", in_summary=True),
    Metric("good", "good points", "reference", "fraction of points within 3 deviations of a mode",
           samples=("modes",), fraction=True, epoch="{:.0%} good", in_summary=True, distance=True),
    Metric("frechet", "Fréchet distance", "lower", "Fréchet distance to the training samples",
           lambda comparison: comparison.frechet(), samples=("images", "coordinates"),
           epoch="FD {:.4g}", in_summary=True, distance=True),
    Metric("frechet_ratio", "Fréchet distance / test samples", "lower",
           "Fréchet distance relative to as many real test samples"),
    Metric("frechet_split_ratio", "Fréchet distance / training split", "lower",
           "Fréchet distance relative to as many training samples", slow=True),
    Metric("kid", "KID", "lower", "kernel inception distance to the training images",
           lambda comparison: metrics.kernel_distance(*comparison.pairs())),
    Metric("precision", "precision", "reference", "fraction of samples that lie among real ones",
           lambda comparison: comparison.precision_recall[0], samples=("images", "coordinates"),
           fraction=True, in_summary=True),
    Metric("recall", "recall", "reference", "fraction of real samples within the variety generated",
           lambda comparison: comparison.precision_recall[1], samples=("images", "coordinates"),
           fraction=True, in_summary=True),
    Metric("classes", "classes", "higher", "classes that occur"),
    Metric("smallest_class", "rarest class", "reference", "fraction of the rarest class",
           fraction=True),
    Metric("largest_class", "most frequent class", "reference",
           "fraction of the most frequent class", fraction=True),
    Metric("imbalance", "imbalance", "lower",
           "total variation distance of class or mode frequencies from the data's",
           samples=("images", "modes"), fraction=True),
    Metric("confident", "confident", "reference",
           "fraction classified with a probability of at least 0.9", fraction=True),
    Metric("swd", "SWD", "lower", "sliced Wasserstein distance of patches, finest scale",
           lambda comparison: comparison.swd[0]),
    Metric("swd_coarse", "SWD, coarse", "lower", "mean of the same over the coarser scales",
           lambda comparison: comparison.swd[1]),
    Metric("background", "background", "reference",
           "fraction of pixels that have exactly the background's color",
           per_image=_with_background(metrics.background_share), fraction=True),
    Metric("stray_pixels", "stray-pixel rate", "reference",
           "fraction of images with a separate blob of at most 6 pixels",
           per_image=_with_background(metrics.has_stray_pixels), fraction=True, in_summary=True),
    Metric("spread", "spread", "reference",
           "distance of good points from their mode, in deviations", samples=("modes",)),
    Metric("nearest", "nearest distance / test images", "reference",
           "distance to the nearest training image, relative to test images",
           lambda comparison: comparison.nearest and metrics.nearest_ratio(*comparison.nearest),
           slow=True),
    Metric("copies", "copies", "lower",
           "fraction nearer to a training image than 99% of the test images",
           lambda comparison: comparison.nearest and metrics.copied_share(*comparison.nearest),
           fraction=True, slow=True),
)}


def epoch_text(row):
    """Return the metrics of an epoch in a few words, such as "8 modes, 97% good"."""
    return ", ".join(metric.epoch.format(row[name], s="s" * (row[name] != 1))
                     for name, metric in METRICS.items() if metric.epoch and name in row)


def distance_metric(rows):
    """Return the `Metric` of the history that says how far samples were from the data, or None."""
    return next((metric for name, metric in METRICS.items()
                 if metric.distance and any(name in row for row in rows)), None)


def distance_of(row):
    """Return how far the samples of a row were from the data, or None if not measured.

    The Fréchet distance, or for points the fraction of bad ones: smaller is better.
    """
    metric = distance_metric([row])
    if metric is None:
        return None
    return row[metric.name] if metric.better == "lower" else 1 - row[metric.name]


def left_out_texts(left_out):
    """Return a sentence for each reason in `Evaluator.left_out`."""
    whose = {"generated": "", "reference": " of real test samples", "split": " of training samples"}
    names = {}
    for key, reasons in left_out.items():
        for name, reason in reasons.items():
            names.setdefault((key, reason), []).append(METRICS[name].label)
    return [f"{', '.join(labels)}{whose[key]}: {reason}"
            for (key, reason), labels in names.items()]


def summary_lines(found, evaluator):
    """Return the metrics that an `Evaluator` found, as list of (heading, text) for a summary."""
    real, source = evaluator.real(), evaluator.real_source()
    quality = []
    for name, metric in METRICS.items():
        if metric.in_summary and name in found:
            beside = f" (real {metric.show(real[name])})" if name in real else ""
            quality.append(f"{metric.label} {metric.show(found[name])}{beside}")
    return [("quality", ", ".join(quality) or "not measured"),
            ("compared", f"in {evaluator.features()['description']}"
                         f"{'; real: ' * bool(source)}{source}"),
            *(("left out", text) for text in left_out_texts(evaluator.left_out))]


def metrics_table(found, columns):
    """Yield generated metrics, a line each; `columns` are headings → those of real samples."""
    yield f"{'':19}{'generated':>10}" + "".join(f"{heading:>13}" for heading in columns)
    for name, metric in METRICS.items():
        if name in found:
            real = "".join(f"{metric.show(column[name]) if name in column else '':>13}"
                           for column in columns.values())
            yield f"{name:19}{metric.show(found[name]):>10}{real}"
