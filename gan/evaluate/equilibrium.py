"""What the losses come to when generated samples cannot be told from real ones.

The discriminator that minimises its loss then gives every sample the same
logit, so that both values follow from the formulas in `gan.losses`.
"""

import math

CROSS_ENTROPY = ("nonsaturating", "minimax")


def ideal_losses(loss, label_smoothing=0.0):
    """Return dict of "discriminator_loss" and "generator_loss" → ideal value.

    What has no such value is left out: a critic's logit may be anything that
    all samples share.

    Args:
        loss: name of the loss, see `TrainConfig.loss`.
        label_smoothing: see `TrainConfig.label_smoothing`.
    """
    if loss in CROSS_ENTROPY:
        # (1 - s) p / (p + p), where -[(1 - s) log D + s log(1 - D) + log(1 - D)] is least.
        real = (1 - label_smoothing) / 2
        discriminator = -(2 * real * math.log(real) + 2 * (1 - real) * math.log(1 - real))
        generator = -math.log(real) if loss == "nonsaturating" else math.log(1 - real)
        return {"discriminator_loss": discriminator, "generator_loss": generator}
    return {
        "lsgan": {"discriminator_loss": 1 / 4, "generator_loss": 1 / 8},  # D = 1/2
        "hinge": {"discriminator_loss": 2.0},
        "relativistic": {"discriminator_loss": math.log(2), "generator_loss": math.log(2)},
        "wgan": {"discriminator_loss": 0.0},
    }[loss]


def has_log_odds(loss):
    """Whether the logits of a loss are log-odds, by its name."""
    return loss in CROSS_ENTROPY
