"""The train step: two networks, one tape, many steps a call."""

import keras
import numpy as np
import tensorflow as tf

from gan import models
from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty
from gan.optimizer import ConstantThenLinear, FusedAdam
from gan.sampling import ALGORITHM, conditions_from_seeds, latents_from_seeds

MEASURES = ("discriminator_loss", "generator_loss", "real_score", "fake_score")
DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
LATENTS, MIXTURE = 0, 1  # streams of random numbers in a step
EMA_RAMP = 10.0  # the average is at least so many times younger than the run


class Trainer:
    """The state of a training run and the step that advances it.

    Randomness is a function of (seed, step) and the data order one of (seed,
    epoch), so the variables are the whole state: setting them to a saved state
    continues that run bit for bit.

    Attributes:
        policy: Keras dtype policy of the two networks.
        generator, discriminator: the two networks.
        average: the generator with averaged weights, float32.
        step: int64 variable, steps taken.
        train: function of int32 [steps, batch], indices of training images;
            takes a step for each batch and returns float32 [steps,
            len(MEASURES)], the measures of each.
        steps_per_epoch: whole batches in the data.
    """

    def __init__(self, config, dataset, conditioning, policy="float32"):
        """
        Args:
            config: a `TrainConfig`.
            dataset: a `Dataset`, at least one batch of it.
            conditioning: the `Conditioning` of its images.
            policy: Keras dtype policy of the two networks.
        """
        keras.utils.set_random_seed(config.seed)  # of the initial weights
        self.config, self.policy = config, policy
        self.conditioning = conditioning
        self.steps_per_epoch = len(dataset.images) // config.batch_size
        shape, width = dataset.image_shape, conditioning.codes.shape[1]
        sizes = (config.arch, shape, config.latent_dim, width, config.base_channels)
        self.generator = models.build_generator(*sizes, policy)
        self.average = models.build_generator(*sizes)
        self.average.set_weights(self.generator.get_weights())
        self.discriminator = models.build_discriminator(
            config.arch, shape, width, config.base_channels, policy
        )
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        half = policy == "mixed_float16"
        self.generator_optimizer = self._optimizer(config.lr_g, self.generator, half)
        self.discriminator_optimizer = self._optimizer(config.lr_d, self.discriminator, half)
        self._images = tf.constant(dataset.images)
        self._conditions = tf.constant(conditioning.ids)
        self._codes = tf.constant(conditioning.codes)
        # One signature for every number of steps: traced once.
        batches = tf.TensorSpec([None, config.batch_size], tf.int32)
        self.train = tf.function(self._steps, input_signature=[batches])

    def _optimizer(self, rate, network, half):
        steps = self.config.epochs * self.steps_per_epoch
        adam = FusedAdam(
            ConstantThenLinear(rate, steps, self.config.lr_decay),
            beta_1=self.config.beta1, beta_2=self.config.beta2,
        )
        # float16 loses small gradients without a scale on the loss.
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if half else adam
        optimizer.build(network.trainable_variables)
        return optimizer

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
        return {**named, "step": self.step}

    def epoch_batches(self, epoch):
        """Return the batches of an epoch: int32 [steps, batch] indices of images.

        Args:
            epoch: counted from 1. Each image comes at most once; the remainder
                that fills no batch is another one in every epoch.
        """
        random = np.random.default_rng([self.config.seed, DATA_ORDER, epoch])
        order = random.permutation(len(self._images)).astype(np.int32)
        size = self.config.batch_size
        return order[: self.steps_per_epoch * size].reshape(-1, size)

    def _steps(self, batches):
        # Many steps in one call: no way through Python between two of them.
        measures = tf.TensorArray(tf.float32, size=tf.shape(batches)[0])
        for index in tf.range(tf.shape(batches)[0]):
            measures = measures.write(index, self._step(batches[index]))
        return measures.stack()

    @tf.autograph.experimental.do_not_convert
    def _step(self, batch):
        codes = tf.gather(self._codes, tf.gather(self._conditions, batch))
        real = tf.cast(tf.gather(self._images, batch), tf.float32) / 127.5 - 1
        # Generated images take the conditions of the real ones, so that each
        # occurs as often as in the data.
        latents = self._random(tf.random.stateless_normal, (batch.shape[0], self.config.latent_dim),
                               LATENTS)
        inputs = models.generator_inputs(latents, codes)

        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(inputs, training=True)
            real_logits = self._judge(real, codes)
            fake_logits = self._judge(fake, codes)
            discriminator_loss, generator_loss = self._losses(real_logits, fake_logits)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(discriminator_loss)
            scaled_generator_loss = self.generator_optimizer.scale_loss(generator_loss)

        discriminator_gradients = tape.gradient(
            scaled_discriminator_loss, self.discriminator.trainable_variables
        )
        generator_gradients = tape.gradient(
            scaled_generator_loss, self.generator.trainable_variables
        )
        if self.config.gradient_penalty != "none":
            discriminator_gradients = self._add_penalty(
                discriminator_gradients, real, tf.stop_gradient(fake), codes
            )
        self.discriminator_optimizer.apply(
            discriminator_gradients, self.discriminator.trainable_variables
        )
        self.generator_optimizer.apply(generator_gradients, self.generator.trainable_variables)
        self._update_average()
        self.step.assign_add(1)
        return tf.stack([
            discriminator_loss, generator_loss,
            tf.reduce_mean(tf.sigmoid(real_logits)), tf.reduce_mean(tf.sigmoid(fake_logits)),
        ])

    def _judge(self, images, codes):
        return models.select_logits(self.discriminator(images, training=True), codes)

    def _losses(self, real_logits, fake_logits):
        loss, smoothing = LOSSES[self.config.loss], self.config.label_smoothing
        extra = {"smoothing": smoothing} if smoothing else {}  # the cross entropy's alone
        return (loss.discriminator(real_logits, fake_logits, **extra),
                loss.generator(real_logits, fake_logits))

    def _random(self, distribution, shape, stream):
        """Draw what only (seed, step, stream) decide, float32 of a shape."""
        seed = tf.stack([self.step, tf.constant(self.config.seed + (stream << 32), tf.int64)])
        return distribution(shape, seed, alg=ALGORITHM)

    def _add_penalty(self, gradients, real, fake, codes):
        """Add the penalty's gradients, in every `gp_interval`-th step only."""
        kind, interval = self.config.gradient_penalty, self.config.gp_interval
        images, function = [real], zero_centred_penalty
        if kind == "wgan-gp":
            share = self._random(tf.random.stateless_uniform, (real.shape[0], 1, 1, 1), MIXTURE)
            images, function = [share * real + (1 - share) * fake], one_centred_penalty
        elif kind != "r1":
            images = [fake] if kind == "r2" else [real, fake]
        # R1 + R2 in one pass; the sum of two means is twice the mean of both.
        weight = self.config.gp_weight * len(images)
        images, codes = tf.concat(images, axis=0), tf.concat([codes] * len(images), axis=0)

        def penalised():
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    inner.watch(images)
                    total = tf.reduce_sum(self._judge(images, codes))
                penalty = function(inner.gradient(total, images))
                # Fewer steps, each with more weight: the same pull in the mean.
                loss = self.discriminator_optimizer.scale_loss(interval * weight * penalty)
            added = outer.gradient(loss, self.discriminator.trainable_variables)
            # None for the last bias: it moves logits, but not their gradients.
            return [gradient if more is None else gradient + more
                    for gradient, more in zip(gradients, added, strict=True)]

        return tf.cond(self.step % interval == 0, penalised, lambda: gradients)

    def _update_average(self):
        """Move the average towards the generator, statistics included."""
        taken = tf.cast(self.step + 1, tf.float32)
        # Young averages forget faster, or the untrained weights would linger.
        decay = tf.minimum(self.config.ema, taken / (taken + EMA_RAMP))
        for mean, value in zip(self.average.variables, self.generator.variables, strict=True):
            mean.value.assign_sub((1 - decay) * (mean.value - value.value))

    @tf.function(autograph=False, reduce_retracing=True)
    def sample(self, seeds, conditions):
        """Draw images from the averaged generator.

        Args:
            seeds: int64 [N].
            conditions: int32 [N] in [0, K).

        Returns:
            float32 [N, H, W, C] in [-1, 1].
        """
        latents = latents_from_seeds(seeds, self.config.latent_dim)
        codes = tf.gather(self._codes, conditions)
        return self.average(models.generator_inputs(latents, codes), training=False)

    @tf.function(autograph=False, reduce_retracing=True)
    def draw(self, seeds):
        """Draw what the export's `sample` will draw: int64 [N] → uint8 [N, H, W, C]."""
        conditions = conditions_from_seeds(seeds, self.conditioning.shares)
        images = self.sample(seeds, conditions) * 0.5 + 0.5
        return tf.cast(tf.round(images * 255), tf.uint8)

    def picture_samples(self, count):
        """Choose the fixed samples of the epoch pictures.

        Args:
            count: number of images wanted.

        Returns:
            `(seeds, conditions)`, int64 and int32 [count]. With labels, as many
            images of each class as fit, class by class.
        """
        seeds = np.arange(count, dtype=np.int64)
        classes = self.conditioning.class_of
        if classes is None or count < classes.max() + 1:
            return seeds, conditions_from_seeds(seeds, self.conditioning.shares).numpy()
        rows = np.sort(np.resize(np.unique(classes), count))
        shares = self.conditioning.shares * (rows[:, None] == classes)
        return seeds, conditions_from_seeds(seeds, shares).numpy()
