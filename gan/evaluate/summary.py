"""What was measured, as the lines that a run and `gan.evaluate` end with."""

from gan.evaluate.table import METRICS


def quality_text(found, reference):
    """Return the most telling metrics in a line, those of real samples beside them.

    Args:
        found: dict of metric → number, of generated samples.
        reference: dict, the same of real samples.
    """
    parts = []
    for name, metric in METRICS.items():
        if metric.in_summary and name in found:
            real = f" (real {metric.show(reference[name])})" if name in reference else ""
            parts.append(f"{metric.label} {metric.show(found[name])}{real}")
    return ", ".join(parts) or "not measured"


def left_out_texts(left_out):
    """Return a sentence for each reason why metrics have no value.

    Args:
        left_out: `Evaluator.left_out`.

    Returns:
        list of str, such as "precision, recall of real test samples: needs at
        least 4 samples, got 3".
    """
    whose = {"generated": "", "reference": " of real test samples",
             "split": " of training samples"}
    names = {}
    for key, reasons in left_out.items():
        for name, reason in reasons.items():
            names.setdefault((key, reason), []).append(METRICS[name].label)
    return [f"{', '.join(labels)}{whose[key]}: {reason}"
            for (key, reason), labels in names.items()]


def summary_lines(found, evaluator):
    """Return the lines about quality in the summary of a run.

    Args:
        found: dict of metric → number, of generated samples.
        evaluator: what measured them.

    Returns:
        list of (heading, text): "quality", "compared" and, where metrics have no
        value, "left out".
    """
    source = evaluator.real_source()
    real = f"; real: {source}" if source else ""
    return [("quality", quality_text(found, evaluator.real())),
            ("compared", f"in {evaluator.features()['description']}{real}"),
            *(("left out", text) for text in left_out_texts(evaluator.left_out))]


def metrics_table(found, columns):
    """Return generated and real metrics side by side, a line each.

    Args:
        found: dict of metric → number, of generated samples.
        columns: dict of heading → dict of metric → number, of real samples.
    """
    yield f"{'':19}{'generated':>10}" + "".join(f"{heading:>13}" for heading in columns)
    for name, metric in METRICS.items():
        if name in found:
            real = "".join(f"{metric.show(column[name]) if name in column else '':>13}"
                           for column in columns.values())
            yield f"{name:19}{metric.show(found[name]):>10}{real}  {metric.explanation}"
