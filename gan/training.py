"""The train step: two networks, one tape, many steps a call."""

import keras
import numpy as np
import tensorflow as tf

from gan import models
from gan.augment import augment
from gan.data.class_rows import class_rows
from gan.layers import SpectralLayer
from gan.losses import LOSSES, one_centred_penalty, zero_centred_penalty
from gan.optimizer import ConstantThenLinear, FusedAdam
from gan.sampling import ALGORITHM, conditions_from_seeds, latents_from_seeds

MEASURES = ("discriminator_loss", "generator_loss", "real_score", "fake_score", "separation",
            "discriminator_gradient", "generator_gradient")
GRADIENTS = slice(5, 7)  # of the measures, what an overflow of float16 leaves out
DATA_ORDER = 2  # stream of NumPy's generator; 1 is k-means
LATENTS, MIXTURE, REAL, FAKE = range(4)  # streams of random numbers in a step
# TensorFlow 2.21 turns sums in the step into additions to a temporary variable
# where it expects a network to use over 200 MB, and then finds that variable taken
# ("AlreadyExistsError … tmp_var") in the next step of the loop. Without the pass
# that collects the sums, it does not; the speed is the same.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
EMA_RAMP = 10.0  # the average is at least so many times younger than the run


class Trainer:
    """The state of a training run and the step that advances it.

    Randomness is a function of (seed, step) and the data order one of (seed,
    epoch), so the variables are the whole state: setting them to a saved state
    continues that run bit for bit.

    Attributes:
        config: `TrainConfig`, with what depends on the samples filled in.
        policy: Keras dtype policy of the two networks.
        generator, discriminator: the two networks.
        average: the generator with averaged weights, float32.
        step: int64 variable, steps taken.
        steps_per_epoch: whole batches in the data.
    """

    def __init__(self, config, dataset, conditioning, policy="float32", streamed=False):
        """
        Args:
            config: a `TrainConfig`.
            dataset: a `Dataset`, at least one batch of it.
            conditioning: the `Conditioning` of its images.
            policy: Keras dtype policy of the two networks.
            streamed: read the samples of each step when it comes, rather than
                hold them all in TensorFlow's memory; the results are the same.
        """
        keras.utils.set_random_seed(config.seed)  # of the initial weights
        self.config = config = config.for_samples(dataset.sample_shape)
        self.policy = policy
        self.conditioning = conditioning
        self.steps_per_epoch = len(dataset.samples) // config.batch_size
        shape, width = dataset.sample_shape, conditioning.codes.shape[1]
        sizes = (config.arch, shape, config.latent_dim, width, config.base_channels)
        extent = dataset.extent
        self.generator = models.build_generator(*sizes, policy, extent)
        self.average = models.build_generator(*sizes, extent=extent)
        self.average.set_weights(self.generator.get_weights())
        self.discriminator = models.build_discriminator(
            config.arch, shape, width, config.base_channels, policy, extent,
            config.spectral_norm, config.dropout,
        )
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        half = policy == "mixed_float16"
        steps = config.epochs * self.steps_per_epoch
        self.generator_optimizer = self._optimizer(
            config.lr_g, self.generator, steps // config.n_critic, half)
        self.discriminator_optimizer = self._optimizer(
            config.lr_d, self.discriminator, steps, half)
        self._stored = dataset.samples
        self._samples = None if streamed else _hold(dataset.samples)
        self._conditions = tf.constant(conditioning.ids)
        self._codes = tf.constant(conditioning.codes)
        # One signature for every number of steps: traced once.
        signature = [tf.TensorSpec([None, config.batch_size], tf.int32)]
        if streamed:
            batch = tf.TensorSpec([config.batch_size, *shape], dataset.samples.dtype)
            signature.append(tf.data.IteratorSpec(batch))
        self._run = tf.function(self._steps, input_signature=signature, autograph=False)

    def _optimizer(self, rate, network, steps, half):
        adam = FusedAdam(
            ConstantThenLinear(rate, steps, self.config.lr_decay),
            beta_1=self.config.beta1, beta_2=self.config.beta2,
        )
        # float16 loses small gradients without a scale on the loss.
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if half else adam
        optimizer.build(network.trainable_variables)
        return optimizer

    def loss_scale(self):
        """The smaller of the two factors on the losses, or None without float16."""
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        if self.policy != "mixed_float16":
            return None
        return min(float(optimizer.dynamic_scale.numpy()) for optimizer in optimizers)

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
        order = random.permutation(len(self._stored)).astype(np.int32)
        size = self.config.batch_size
        return order[: self.steps_per_epoch * size].reshape(-1, size)

    def train(self, batches):
        """Take a step for each batch.

        Args:
            batches: int32 [steps, batch], indices of training samples.

        Returns:
            float32 [steps, len(MEASURES)], the measures of each step.
        """
        if self._samples is not None:
            return self._run(batches)
        return self._run(batches, iter(self._stream(batches)))

    def _stream(self, batches):
        """A `tf.data.Dataset` of the samples of each batch, read ahead of the steps."""
        shape = [batches.shape[1], *self._stored.shape[1:]]

        def read(batch):
            samples = tf.numpy_function(self._stored.__getitem__, [batch], self._stored.dtype)
            return tf.ensure_shape(samples, shape)

        indices = tf.data.Dataset.from_tensor_slices(batches)
        return indices.map(read, num_parallel_calls=2, deterministic=True).prefetch(4)

    def _steps(self, batches, stream=None):
        # Many steps in one call: no way through Python between two of them. The
        # loop is spelled out, as AutoGraph needs the source and a place for files.
        count = tf.shape(batches)[0]

        def advance(index, measures):
            batch = batches[index]
            samples = tf.gather(self._samples, batch) if stream is None else stream.get_next()
            return index + 1, measures.write(index, self._step(batch, samples))

        measures = tf.TensorArray(tf.float32, size=count)
        _, measures = tf.while_loop(lambda index, _: index < count, advance, [0, measures])
        return measures.stack()

    def _step(self, batch, samples):
        codes = tf.gather(self._codes, tf.gather(self._conditions, batch))
        real = self._show(_to_floats(samples), REAL)
        # Generated images take the conditions of the real ones, so that each
        # occurs as often as in the data.
        latents = self._random(tf.random.stateless_normal, (batch.shape[0], self.config.latent_dim),
                               LATENTS)
        inputs = models.generator_inputs(latents, codes)
        for layer in self.discriminator.layers:
            if isinstance(layer, SpectralLayer):
                layer.iterate()

        with tf.GradientTape(persistent=True) as tape:
            fake = self._show(self.generator(inputs, training=True), FAKE)
            real_logits = self._judge(real, codes)
            fake_logits = self._judge(fake, codes)
            discriminator_loss, generator_loss = self._losses(real_logits, fake_logits)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(discriminator_loss)
            scaled_generator_loss = self.generator_optimizer.scale_loss(generator_loss)

        discriminator_gradients = tape.gradient(
            scaled_discriminator_loss, self.discriminator.trainable_variables
        )
        if self.config.gradient_penalty != "none":
            discriminator_gradients = self._add_penalty(
                discriminator_gradients, real, tf.stop_gradient(fake), codes
            )
        self.discriminator_optimizer.apply(
            discriminator_gradients, self.discriminator.trainable_variables
        )
        generator_norm = self._update_generator(tape, scaled_generator_loss)
        self.step.assign_add(1)
        return tf.stack([
            discriminator_loss, generator_loss,
            tf.reduce_mean(tf.sigmoid(real_logits)), tf.reduce_mean(tf.sigmoid(fake_logits)),
            _separation(real_logits, fake_logits),
            _norm(discriminator_gradients, self.discriminator_optimizer), generator_norm,
        ])

    def _update_generator(self, tape, loss):
        """Move the generator and its average, in every `n_critic`-th step; returns the norm."""
        variables = self.generator.trainable_variables

        def update():
            gradients = tape.gradient(loss, variables)
            norm = _norm(gradients, self.generator_optimizer)
            self.generator_optimizer.apply(gradients, variables)
            self._update_average()
            return norm

        if self.config.n_critic == 1:
            return update()
        due = (self.step + 1) % self.config.n_critic == 0
        return tf.cond(due, update, lambda: tf.constant(0.0))

    def _show(self, samples, stream):
        """What the discriminator is shown of samples: with `--augment`, changed ones."""
        return augment(samples, self._seed(stream)) if self.config.augment else samples

    def _judge(self, images, codes):
        return models.select_logits(self.discriminator(images, training=True), codes)

    def _losses(self, real_logits, fake_logits):
        loss, smoothing = LOSSES[self.config.loss], self.config.label_smoothing
        extra = {"smoothing": smoothing} if smoothing else {}  # the cross entropy's alone
        return (loss.discriminator(real_logits, fake_logits, **extra),
                loss.generator(real_logits, fake_logits))

    def _random(self, distribution, shape, stream):
        """Draw what only (seed, step, stream) decide, float32 of a shape."""
        return distribution(shape, self._seed(stream), alg=ALGORITHM)

    def _seed(self, stream):
        return tf.stack([self.step, tf.constant(self.config.seed + (stream << 32), tf.int64)])

    def _add_penalty(self, gradients, real, fake, codes):
        """Add the penalty's gradients, in every `gp_interval`-th step only."""
        kind, interval = self.config.gradient_penalty, self.config.gp_interval
        images, function = [real], zero_centred_penalty
        if kind == "wgan-gp":
            one_each = (real.shape[0],) + (1,) * (len(real.shape) - 1)
            share = self._random(tf.random.stateless_uniform, one_each, MIXTURE)
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
        """Draw samples from the averaged generator.

        Args:
            seeds: int64 [N].
            conditions: int32 [N] in [0, K).

        Returns:
            float32 [N, H, W, C] in [-1, 1], or float32 [N, 2].
        """
        latents = latents_from_seeds(seeds, self.config.latent_dim)
        codes = tf.gather(self._codes, conditions)
        return self.average(models.generator_inputs(latents, codes), training=False)

    @tf.function(autograph=False, reduce_retracing=True)
    def draw(self, seeds):
        """Draw what the export's `sample` will draw.

        Args:
            seeds: int64 [N].

        Returns:
            uint8 [N, H, W, C], or float32 [N, 2].
        """
        samples = self.sample(seeds, conditions_from_seeds(seeds, self.conditioning.probabilities))
        if len(samples.shape) == 2:
            return samples
        return tf.cast(tf.round((samples * 0.5 + 0.5) * 255), tf.uint8)

    @tf.function(autograph=False, reduce_retracing=True)
    def judge_points(self, points):
        """The discriminator's logits of points: float32 [N, 2] → float32 [N]."""
        return self.discriminator(points, training=False)[:, 0]

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
        if classes is None:
            return seeds, conditions_from_seeds(seeds, self.conditioning.probabilities).numpy()
        rows = class_rows(classes, count)
        shares = self.conditioning.probabilities * (rows[:, None] == classes)
        return seeds, conditions_from_seeds(seeds, shares).numpy()


def _hold(samples):
    """Samples as a tensor on the device that trains."""
    if not isinstance(samples, np.memmap):
        return tf.constant(samples)
    # `tf.constant` would need twice the memory for a moment; this shares the map.
    shared = tf.experimental.dlpack.from_dlpack(np.asarray(samples).__dlpack__())
    return tf.identity(shared) if tf.config.list_physical_devices("GPU") else shared


def _to_floats(samples):
    """Images, uint8 → float32 in [-1, 1]; points stay as they are."""
    return tf.cast(samples, tf.float32) / 127.5 - 1 if samples.dtype == tf.uint8 else samples


def _separation(real, fake):
    """How often the discriminator ranks a real sample above a generated one.

    0.5 when it can only guess, 1 when it has won, whatever the loss: unlike the
    scores it does not depend on the unit of the logits.
    """
    above = tf.cast(real > fake, tf.float32) + 0.5 * tf.cast(real == fake, tf.float32)
    return tf.reduce_mean(above)


def _norm(gradients, optimizer):
    """The length of all gradients together, without the factor on the loss."""
    return tf.linalg.global_norm(gradients) / optimizer.scale_loss(tf.constant(1.0))
