"""The train step: how the discriminator and the generator learn from each other."""

import functools

import tensorflow as tf

from gan.augment import DRAWS, adapted, augment, mirrored
from gan.distributed.group import ReplicaGroup
from gan.distributed.replica import SINGLE
from gan.feed import Feed
from gan.losses import (
    LOSSES,
    discriminator_accuracy,
    one_centred_penalty,
    zero_centred_penalty,
)
from gan.models import generator_inputs, select_logits
from gan.sampling import ALGORITHM, Sampler
from gan.spectral import iterate_spectral
from gan.state import TrainState

MEASURES = ("discriminator_loss", "generator_loss", "real_score", "fake_score",
            "discriminator_accuracy", "discriminator_gradient", "generator_gradient")
GRADIENTS = slice(5, 7)  # of the measures, what an overflow of float16 leaves out
LARGEST_RATIO = 1e12  # of the slopes of both losses; beyond it float32 may lose the smaller
LATENTS, MIXTURE, REAL, FAKE, MIRROR = range(5)  # streams of random numbers in a step
# TensorFlow 2.21 turns sums in the step into additions to a temporary variable
# where it expects a network to use over 200 MB, and then finds that variable taken
# ("AlreadyExistsError … tmp_var") in the next step of the loop. Without the pass
# that collects the sums, it does not; the speed is the same.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def train_step(config, state, replica, real, codes, components):
    """Update the discriminator, then the generator and its EMA.

    Every random number is a function of (seed, step, stream).

    Args:
        config: a complete `TrainConfig`.
        state: `TrainState`; its variables are changed.
        replica: this device among those that take the step, see `gan.distributed.replica`.
        real: float32 [N, H, W, C] in [-1, 1] or [N, 2], this process' share of the
            real samples.
        codes: float32 [N, W], the codes of their conditions. The generated
            samples take the same, so that each occurs as often as in the data.
        components: float32 [N, D], what the latents begin with, see `gan.data.components`.

    Returns:
        float32 [len(MEASURES)], of the whole batch.
    """
    draw = functools.partial(draw_share, config, state, replica)
    generator, discriminator = state.generator, state.discriminator
    loss = LOSSES[config.loss].smoothed(config.label_smoothing)
    latents = draw(tf.random.stateless_normal, [config.latent_dim], LATENTS)
    latents = tf.concat([components, latents[:, components.shape[1]:]], axis=1)
    told = tf.concat([codes, components], axis=1)  # what the discriminator knows
    iterate_spectral(discriminator)
    if config.mirror:
        real = mirrored(real, draw(tf.random.stateless_uniform, [1], MIRROR))
    strength = state.augmentation

    def shown(images, stream):  # real and generated images are changed alike
        if strength is None:
            return images
        return augment(images, draw(tf.random.stateless_uniform, [DRAWS], stream), strength)

    real = shown(real, REAL)
    with tf.GradientTape(persistent=True) as tape:
        fake = shown(generator(generator_inputs(latents, codes), training=True), FAKE)
        real_logits = select_logits(discriminator(real, training=True), told)
        fake_logits = select_logits(discriminator(fake, training=True), told)
        discriminator_loss = loss.discriminator(real_logits, fake_logits)
        generator_loss = loss.generator(real_logits, fake_logits)
        # Without float16 the two scales are 1.
        scaled_discriminator_loss = state.discriminator_optimizer.scale_loss(discriminator_loss)
        scaled_generator_loss = state.generator_optimizer.scale_loss(generator_loss)

    variables = discriminator.trainable_variables
    *gradients, fake_gradient = tape.gradient(scaled_discriminator_loss, [*variables, fake])

    def second_pass():
        return tape.gradient(scaled_generator_loss, fake)

    if state.one_backward_pass:
        # A generated sample enters both losses through its logit alone: the two gradients
        # at the sample differ by the ratio of the two slopes at the logit.
        ratio = (tape.gradient(scaled_generator_loss, fake_logits)
                 / tape.gradient(scaled_discriminator_loss, fake_logits))
        usable = tf.reduce_all(tf.abs(ratio) < LARGEST_RATIO)  # False for 0 / 0
        ratio = tf.reshape(ratio, [-1] + [1] * (len(fake.shape) - 1))
        fake_gradient = tf.cond(usable, lambda: fake_gradient * ratio, second_pass)
    else:
        fake_gradient = second_pass()
    gradients = add_penalty(config, state, draw, gradients, real, tf.stop_gradient(fake), told)
    gradients = replica.all_reduce_mean(gradients, config.reduce_precision)
    state.discriminator_optimizer.apply(gradients, variables)

    def update_generator():
        variables = generator.trainable_variables
        gradients = tape.gradient(fake, variables, fake_gradient)
        gradients = replica.all_reduce_mean(gradients, config.reduce_precision)
        norm = gradient_norm(gradients, state.generator_optimizer)
        state.generator_optimizer.apply(gradients, variables)
        state.update_ema(config.ema)
        return norm

    if config.n_critic == 1:
        generator_norm = update_generator()
    else:
        due = (state.step + 1) % config.n_critic == 0
        generator_norm = tf.cond(due, update_generator, lambda: tf.constant(0.0))
    if strength is not None:
        strength.assign(adapted(strength, real_logits, fake_logits, state.steps_per_epoch,
                                replica.all_reduce_mean))
    state.step.assign_add(1)
    score = tf.sigmoid if state.log_odds else tf.identity
    return replica.all_reduce_mean([tf.stack([
        discriminator_loss, generator_loss,
        tf.reduce_mean(score(real_logits)), tf.reduce_mean(score(fake_logits)),
        discriminator_accuracy(real_logits, fake_logits),
        gradient_norm(gradients, state.discriminator_optimizer), generator_norm,
    ])])[0]


def add_penalty(config, state, draw, gradients, real, fake, told):
    """Add the gradients of the gradient penalty, in every `gp_interval`-th step.

    Args:
        config, state: as for `train_step`.
        draw: function of a distribution, a shape and a stream, see `draw_share`.
        gradients: list of tensors, the discriminator's, of its scaled loss.
        real, fake: float32 [N, ...], what the discriminator was shown.
        told: float32 [N, W + D], what it was told of each: code and components.

    Returns:
        list of tensors like `gradients`.
    """
    kind, optimizer = config.gradient_penalty, state.discriminator_optimizer
    if kind == "none":
        return gradients
    if kind == "wgan-gp":
        part = draw(tf.random.stateless_uniform, [1] * (len(real.shape) - 1), MIXTURE)
        points, penalty_of = [part * real + (1 - part) * fake], one_centred_penalty
    else:
        points = {"r1": [real], "r2": [fake], "r1r2": [real, fake]}[kind]
        penalty_of = zero_centred_penalty
    # R1 + R2 in one pass; the sum of two means is twice the mean of both.
    weight = config.gp_weight * len(points)
    told, points = tf.concat([told] * len(points), axis=0), tf.concat(points, axis=0)

    def penalised():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(points)
                logits = select_logits(state.discriminator(points, training=True), told)
                total = tf.reduce_sum(logits)
            penalty = penalty_of(inner.gradient(total, points))
            # Fewer steps, each with more weight: the same pull in the mean.
            loss = optimizer.scale_loss(config.gp_interval * weight * penalty)
        added = outer.gradient(loss, state.discriminator.trainable_variables)
        # None for the last bias: it moves logits, but not their gradients.
        return [gradient if more is None else gradient + more
                for gradient, more in zip(gradients, added, strict=True)]

    return tf.cond(state.step % config.gp_interval == 0, penalised, lambda: gradients)


def draw_share(config, state, replica, distribution, shape, stream):
    """Return this process' share of random numbers that are drawn for the whole batch.

    Args:
        config, state, replica: as for `train_step`.
        distribution: `tf.random.stateless_uniform` or `stateless_normal`.
        shape: list, of what one sample takes.
        stream: number of the stream within the step.
    """
    seed = tf.stack([state.step, tf.constant(config.seed + (stream << 32), tf.int64)])
    return replica.shard(distribution([config.batch_size, *shape], seed, alg=ALGORITHM))


def gradient_norm(gradients, optimizer):
    """Return the length of all gradients together, without the factor on the loss."""
    return tf.linalg.global_norm(gradients) / optimizer.scale_loss(tf.constant(1.0))


class Trainer:
    """Takes many train steps in one call of a traced function.

    Attributes:
        config, state, feed: what the steps read and change.
        replica: the device that takes them, see `gan.distributed.replica`.
    """

    def __init__(self, config, state, feed, replica=SINGLE):
        """
        Args:
            config: a complete `TrainConfig`.
            state: `TrainState`.
            feed: `Feed` of the training samples.
            replica: this device among those that train together, see `gan.distributed.replica`.
        """
        self.config, self.state, self.feed = config, state, feed
        self.replica = replica
        # One signature for every number of steps: traced once.
        self._run = tf.function(self._steps, input_signature=feed.signature, autograph=False)

    def train(self, batches):
        """Take a step for each batch.

        Args:
            batches: int32 [steps, batch], indices of training samples.

        Returns:
            float32 [steps, len(MEASURES)], the measures of each step.

        Raises:
            UserError: when samples cannot be read from the disk any more.
        """
        try:
            arguments = self.feed.arguments(batches)
            with self.replica.scope():
                return self._run(*arguments)
        except tf.errors.OpError as error:
            if self.feed.failure:  # what TensorFlow made an error of its own of
                raise self.feed.failure from error
            raise

    def trace(self):
        """Trace the step, as the first call of `train` would."""
        with self.replica.scope():
            self._run.get_concrete_function()

    def _steps(self, batches, stream=None):
        # Many steps in one call: no way through Python between two of them. The
        # loop is spelled out, as AutoGraph needs the source and a place for files.
        count = tf.shape(batches)[0]

        def advance(index, measures):
            measured = train_step(self.config, self.state, self.replica,
                                  *self.feed.batch(batches[index], stream))
            return index + 1, measures.write(index, measured)

        measures = tf.TensorArray(tf.float32, size=count)
        _, measures = tf.while_loop(lambda index, _: index < count, advance, [0, measures])
        return measures.stack()


def build_trainer(config, dataset, conditioning, policy="float32", streamed=False,
                  replicas=(SINGLE,)):
    """Build the networks of a run and what feeds them.

    Args:
        config: a complete `TrainConfig`.
        dataset: `Dataset` or `PointDataset`, at least one batch.
        conditioning: the `Conditioning` of its samples.
        policy: Keras dtype policy of the two networks.
        streamed: see `Feed`.
        replicas: the devices of this process that train together, see `gan.distributed.replica`.

    Returns:
        `(trainer, sampler)`: `Trainer` or `ReplicaGroup`, and `Sampler` of the EMA generator.
    """
    trainers = []
    for replica in replicas:
        with replica.scope():
            feed = Feed(dataset.samples, conditioning, config.batch_size, config.seed, streamed,
                        replica)
            state = TrainState(
                config, dataset.sample_shape, conditioning.vectors.shape[1],
                conditioning.coordinate_count, config.epochs * feed.steps_per_epoch, policy,
                dataset.extent, replica, dataset.background)
            trainers.append(Trainer(config, state, feed, replica))
    sampler = Sampler(trainers[0].state.average, conditioning, config.latent_dim)
    return (trainers[0] if len(trainers) == 1 else ReplicaGroup(trainers)), sampler
