"""Everything that training changes: networks, averaged weights, optimizers, the step."""

import keras
import tensorflow as tf

from gan import models
from gan.distributed.replica import SINGLE
from gan.losses import LOSSES, is_log_odds
from gan.optimizer import FusedAdam
from gan.schedule import Rate


class TrainState:
    """The variables of a run; set to saved values, they continue that run bit for bit.

    Attributes:
        policy: Keras dtype policy of the two networks.
        generator, discriminator: the two networks, see `gan.models`.
        average: the generator with averaged weights (EMA), float32.
        generator_optimizer, discriminator_optimizer: Adam, with a loss scale
            under mixed_float16.
        step: int64 variable, steps taken.
        steps_per_epoch: how many steps make one pass over the data.
        log_odds: whether the logits' sigmoid is a probability, see `gan.losses.is_log_odds`.
        one_backward_pass: whether one pass backwards through the discriminator may serve both
            networks, see `train_step`.
        augmentation: float32 variable, the strength of the augmentation; None
            without any.
        background: `Background` that the average keeps clean, or None.
    """

    def __init__(self, config, shape, code_width, components, steps, policy="float32",
                 extent=1.0, replica=SINGLE, background=None):
        """
        Args:
            config: a complete `TrainConfig`.
            shape: (H, W, C) of an image, (2,) of a point.
            code_width: W of the conditions' codes.
            components: D, of what the discriminator is told besides.
            steps: of the whole run, for the learning rates' schedule.
            policy: Keras dtype policy of the two networks.
            extent: the unit of points, see `PointDataset`.
            replica: this device among those that train together, see `gan.distributed.replica`.
            background: of the samples, see `Dataset.background`.
        """
        keras.utils.set_random_seed(config.seed)  # of the initial weights
        self.policy = policy
        # tanh is the textbook's: nothing is added to it.
        cleaned = background and background.plain and config.output in ("smooth", "clip")
        self.background = background if cleaned else None
        generator = (config.arch, shape, config.latent_dim, code_width, config.base_channels)
        settings = {"extent": extent, "filtered": config.upsampling == "filtered",
                    "output": config.output}
        self.generator = models.build_generator(*generator, policy, **settings, replica=replica)
        self.average = models.build_generator(*generator, **settings, background=self.background)
        self.average.set_weights(self.generator.get_weights())
        self.discriminator = models.build_discriminator(
            config.arch, shape, code_width + components, config.base_channels, policy, extent,
            config.spectral_norm, config.dropout, replica,
        )
        self.log_odds = is_log_odds(LOSSES[config.loss])
        # float16 loses small slopes, and so their ratio.
        self.one_backward_pass = (
            policy != "mixed_float16" and models.samples_are_independent(self.discriminator))
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.steps_per_epoch = steps // config.epochs
        adaptive = config.augment == "adaptive"
        self.augmentation = tf.Variable(0.0, name="augmentation") if adaptive else None
        self.generator_optimizer = self._optimizer(
            config, config.lr_g, self.generator, steps // config.n_critic)
        self.discriminator_optimizer = self._optimizer(
            config, config.lr_d, self.discriminator, steps)

    def _optimizer(self, config, rate, network, steps):
        adam = FusedAdam(Rate(rate, steps, config.lr_decay),
                         beta_1=config.beta1, beta_2=config.beta2)
        # float16 loses small gradients without a scale on the loss.
        half = self.policy == "mixed_float16"
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if half else adam
        optimizer.build(network.trainable_variables)
        return optimizer

    def loss_scale(self):
        """Return the smaller of the two factors on the losses, or None without float16."""
        if self.policy != "mixed_float16":
            return None
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        return min(float(optimizer.dynamic_scale.numpy()) for optimizer in optimizers)

    def update_ema(self, fraction):
        """Move the EMA towards the generator, statistics included, in a graph.

        Args:
            fraction: of the steps so far that the average spans; 0: it is the generator.
        """
        # An average of decay d spans 1 / (1 - d) steps, here 1 + fraction * step.
        step = tf.cast(self.step + 1, tf.float32)
        decay = step / (step + 1 / fraction) if fraction else 0.0
        for mean, value in zip(self.average.variables, self.generator.variables, strict=True):
            mean.value.assign_sub((1 - decay) * (mean.value - value.value))

    def variables(self):
        """Return every variable of the run: dict of name → `tf.Variable`."""
        owners = {
            "generator": self.generator, "discriminator": self.discriminator,
            "average": self.average, "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        # Numbered, as the names that Keras gives depend on what was built before.
        named = {
            f"{owner}/{index:02d}": variable.value
            for owner, network in owners.items()
            for index, variable in enumerate(network.variables)
        }
        if self.augmentation is not None:
            named["augmentation"] = self.augmentation
        return {**named, "step": self.step}
