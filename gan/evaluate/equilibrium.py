"""Losses at equilibrium, derived from the loss functions."""


def ideal_losses(loss, label_smoothing=0.0):
    """Return `gan.losses.equilibrium` of a loss by its name; {} of one that is not registered."""
    from gan.losses import LOSSES, equilibrium

    return equilibrium(LOSSES[loss], label_smoothing) if loss in LOSSES else {}


def has_log_odds(loss):
    """Whether the logits of a loss are log-odds, by its name; see `gan.losses.is_log_odds`."""
    from gan.losses import LOSSES, is_log_odds

    return loss in LOSSES and is_log_odds(LOSSES[loss])
