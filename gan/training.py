"""State, step and trainer: how discriminator and generator learn from each other."""

import functools
import math

import keras
import tensorflow as tf

from gan.augment import DRAWS, adapted, augment, mirrored
from gan.distributed.replica import SINGLE, ReplicaGroup
from gan.feed import Feed
from gan.layers import iterate_spectral
from gan.losses import (
    LOSSES,
    discriminator_accuracy,
    fine_detail,
    is_log_odds,
    one_centered_penalty,
    zero_centered_penalty,
)
from gan.models import (
    build_discriminator,
    build_generator,
    generator_inputs,
    logits_under,
    samples_are_independent,
)
from gan.sampling import ALGORITHM, Sampler

MEASURES = ("discriminator_loss", "generator_loss", "real_score", "fake_score",
            "discriminator_accuracy", "discriminator_gradient", "generator_gradient")
GRADIENTS = slice(5, 7)  # of the measures, what an overflow of float16 leaves out
LATENTS, MIXTURE, REAL, FAKE, MIRROR = range(5)  # streams of random numbers in a step
FINAL_RATE = 0.1  # of the learning rate, at the last step
GAP_STEPS = 50  # that the mean of the gap in fine detail spans
PENALIZED = 2**19  # pixels at a time
LARGEST_RATIO = 1e12  # of both losses' slopes; beyond it float32 may lose the smaller one
# TensorFlow 2.21 turns sums in the step into additions to a temporary variable
# where it expects a network to use over 200 MB, and then finds that variable taken
# ("AlreadyExistsError … tmp_var") in the next step of the loop. Without the pass
# that collects the sums, it does not; the speed is the same.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


class TrainState:
    """The variables of a run; set to saved values, they continue that run bit for bit."""

    def __init__(self, config, dataset, conditioning, steps_per_epoch):
        self.half = config.policy == "mixed_float16"
        self.steps_per_epoch = steps_per_epoch
        background = dataset.background
        cleaned = background and background.plain and config.output in ("smooth", "clip")
        self.background = background if cleaned else None

        keras.utils.set_random_seed(config.seed)  # of the initial weights
        shape, box, vector_size = dataset.sample_shape, dataset.box, conditioning.vector_size
        self.generator = build_generator(config, shape, vector_size, box, config.policy)
        self.ema = build_generator(config, shape, vector_size, box, background=self.background)
        self.ema.set_weights(self.generator.get_weights())
        self.discriminator = build_discriminator(
            config, shape, conditioning.condition_size, box, config.policy)

        self.loss = LOSSES[config.loss].smoothed(config.label_smoothing)
        self.log_odds = is_log_odds(LOSSES[config.loss])
        # float16 loses small slopes, and so their ratio.
        self.one_backward_pass = not self.half and samples_are_independent(self.discriminator)
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.augmentation = tf.Variable(0.0) if config.augment == "adaptive" else None
        self.detail_gap = tf.Variable(0.0) if config.detail_weight else None

        def optimizer(network, schedule):
            adam = FusedAdam(schedule, beta_1=config.beta1, beta_2=config.beta2)
            # float16 loses small gradients without a scale on the loss.
            adam = keras.optimizers.LossScaleOptimizer(adam) if self.half else adam
            adam.build(network.trainable_variables)
            return adam

        self.n_critic = config.n_critic
        self.schedules = (LinearDecay(config.lr_g, config.lr_decay),
                          LinearDecay(config.lr_d, config.lr_decay))
        self.plan(config.epochs)
        self.generator_optimizer = optimizer(self.generator, self.schedules[0])
        self.discriminator_optimizer = optimizer(self.discriminator, self.schedules[1])

    def plan(self, epochs):
        """Let the learning rates fall towards the end of so many epochs."""
        steps = epochs * self.steps_per_epoch
        for schedule, count in zip(self.schedules, (steps // self.n_critic, steps), strict=True):
            schedule.steps.assign(count)

    def loss_scale(self):
        """Return the smaller loss scale of the two optimizers, or None without float16."""
        if not self.half:
            return None
        return min(float(optimizer.dynamic_scale.numpy())
                   for optimizer in (self.generator_optimizer, self.discriminator_optimizer))

    def learning_rates(self, step):
        """Return the generator's and the discriminator's learning rate after a step."""
        generator, discriminator = self.schedules
        rates = generator(step // self.n_critic), discriminator(step)
        return [round(float(rate), 10) for rate in rates]

    def update_ema(self, fraction, due):
        """Move the EMA towards the generator if `due`, and if the last step updated the generator.

        It spans a fraction of the steps so far.
        """
        # An average of decay d spans 1 / (1 - d) steps, here 1 + fraction * step.
        step = tf.cast(self.step, tf.float32)
        decay = step / (step + 1 / fraction) if fraction else 0.0
        rate = tf.where(due & (self.step % self.n_critic == 0), 1 - decay, 0.0)
        for mean, value in zip(self.ema.variables, self.generator.variables, strict=True):
            # mean -= rate * delta, in one pass.
            tf.raw_ops.ResourceApplyGradientDescent(
                var=mean.value.handle, alpha=rate, delta=mean.value - value.value)

    def variables(self):
        """Return every variable of the run: dict of name → `tf.Variable`."""
        # Numbered, as the names that Keras gives depend on what was built before.
        named = {
            f"{owner}/{index:02d}": variable.value
            for owner in ("generator", "discriminator", "ema", "generator_optimizer",
                          "discriminator_optimizer")
            for index, variable in enumerate(getattr(self, owner).variables)
        }
        if self.augmentation is not None:
            named["augmentation"] = self.augmentation
        if self.detail_gap is not None:
            named["detail_gap"] = self.detail_gap
        return {**named, "step": self.step}


def train_step(config, state, replica, real, vectors, coordinates, ema_due=False):
    """Update the discriminator, then the generator; returns the `MEASURES`.

    `real` is float32 [N, H, W, C] in [-1, 1] or [N, 2], this replica's shard of the samples, with
    their condition vectors [N, W] and PCA coordinates [N, D]. The generated samples share both, so
    that each condition occurs as often as in the data; their latents begin with the coordinates.
    If `ema_due`, the EMA moves towards the generator of the step before.
    """
    generator, discriminator = state.generator, state.discriminator
    draw = functools.partial(random_shard, config, state, replica)

    # Latents, and what the discriminator is conditioned on.
    latents = draw(tf.random.stateless_normal, [config.latent_dim], LATENTS)
    latents = tf.concat([coordinates, latents[:, coordinates.shape[1]:]], axis=1)
    condition = tf.concat([vectors, coordinates], axis=1)

    # Real and generated images are augmented alike.
    def augmented(images, stream):
        if state.augmentation is None:
            return images
        draws = draw(tf.random.stateless_uniform, [DRAWS], stream)
        return augment(images, draws, state.augmentation)

    if config.mirror:
        real = mirrored(real, draw(tf.random.stateless_uniform, [1], MIRROR))
    real = augmented(real, REAL)

    # Forward passes.
    iterate_spectral(discriminator)
    with tf.GradientTape(persistent=True) as tape:
        logits = logits_under(discriminator, condition)
        real_logits = logits(real)
        # Update the EMA here: a core that is done with the real images waits for the generated
        # ones, and these move the batch statistics, which are averaged, too.
        with tf.control_dependencies([real_logits]):
            state.update_ema(config.ema, ema_due)
        fake = generator(generator_inputs(latents, vectors), training=True)
        fake = augmented(fake, FAKE)
        fake_logits = logits(fake)
        discriminator_loss = state.loss.discriminator(real_logits, fake_logits)
        generator_loss = state.loss.generator(real_logits, fake_logits)
        # Without float16 the two scales are 1.
        scaled_discriminator_loss = state.discriminator_optimizer.scale_loss(discriminator_loss)
        scaled_generator_loss = state.generator_optimizer.scale_loss(generator_loss)

    # Backward passes through the discriminator.
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

    if state.detail_gap is not None:
        fake_gradient += detail_gradient(config, state, replica, real, fake)

    # Backward pass through the generator, now or in the steps that update it.
    def generator_gradients():
        return tape.gradient(fake, generator.trainable_variables, fake_gradient)

    of_generator = generator_gradients() if config.n_critic == 1 else []

    # Update the discriminator.
    gradients = add_penalty(config, state, draw, gradients, real, tf.stop_gradient(fake), condition)
    gradients = replica.all_reduce_mean(gradients, config.reduce_precision)
    # Wait for the gradient of the generator's last kernel: there the backward pass leaves a core
    # idle.
    with tf.control_dependencies(of_generator[-2:-1]):
        state.discriminator_optimizer.apply(gradients, variables)

    # Update the generator, every `n_critic` steps.
    def update_generator():
        gradients = of_generator or generator_gradients()
        gradients = replica.all_reduce_mean(gradients, config.reduce_precision)
        state.generator_optimizer.apply(gradients, generator.trainable_variables)
        return gradient_norm(gradients, state.generator_optimizer)

    if config.n_critic == 1:
        generator_norm = update_generator()
    else:
        due = (state.step + 1) % config.n_critic == 0
        generator_norm = tf.cond(due, update_generator, lambda: tf.constant(0.0))

    # Measure.
    score = tf.sigmoid if state.log_odds else tf.identity
    measures, = replica.all_reduce_mean([tf.stack([
        discriminator_loss, generator_loss,
        tf.reduce_mean(score(real_logits)), tf.reduce_mean(score(fake_logits)),
        discriminator_accuracy(real_logits, fake_logits),
        gradient_norm(gradients, state.discriminator_optimizer), generator_norm,
    ])])

    # Adapt the augmentation.
    if state.augmentation is not None:
        accuracy = measures[MEASURES.index("discriminator_accuracy")]
        state.augmentation.assign(adapted(state.augmentation, accuracy, state.steps_per_epoch))
    state.step.assign_add(1)
    return measures


def add_penalty(config, state, draw, gradients, real, fake, condition):
    """Add the gradients of the penalty to the discriminator's, every `gp_interval` steps."""
    kind, optimizer = config.gradient_penalty, state.discriminator_optimizer
    if kind == "none":
        return gradients
    if kind == "wgan-gp":
        part = draw(tf.random.stateless_uniform, [1] * (len(real.shape) - 1), MIXTURE)
        points, penalty_of = [part * real + (1 - part) * fake], one_centered_penalty
    else:
        points = {"r1": [real], "r2": [fake], "r1r2": [real, fake]}[kind]
        penalty_of = zero_centered_penalty
    # R1 + R2 in one pass: the sum of two means is twice the mean of both. Fewer steps, each
    # with more weight: the same pull in the mean.
    weight = config.gp_interval * config.gp_weight * len(points)
    condition, points = tf.concat([condition] * len(points), axis=0), tf.concat(points, axis=0)
    variables = [variable.value for variable in state.discriminator.trainable_variables]
    parts = parts_of(points.shape)

    def gradients_of(points, condition):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(points)
                total = tf.reduce_sum(logits_under(state.discriminator, condition)(points))
            penalty = weight / parts * penalty_of(inner.gradient(total, points))
            loss = optimizer.scale_loss(penalty)
        # Zero for the last bias: it moves logits, but not their gradients.
        return outer.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def penalized():
        if parts == 1:
            return [*map(tf.add, gradients, gradients_of(points, condition))]
        pairs = [tf.reshape(rows, [parts, -1, *rows.shape[1:]]) for rows in (points, condition)]

        def add(part, *sums):
            return part + 1, *map(tf.add, sums, gradients_of(*(rows[part] for rows in pairs)))

        return tf.while_loop(lambda part, *_: part < parts, add, [0, *gradients],
                             parallel_iterations=1)[1:]

    return tf.cond(state.step % config.gp_interval == 0, penalized, lambda: gradients)


def parts_of(shape):
    """Return how many parts points of a shape, (N, ...), are penalized in, to save memory."""
    rows, pixels = shape[0], math.prod(shape[1:-1])
    return next(parts for parts in range(1, rows + 1) if rows % parts == 0 and (
        rows // parts * pixels <= PENALIZED or parts == rows))


def detail_gradient(config, state, replica, real, fake):
    """Return the generated images' gradient that matches their `fine_detail` to the real images'.

    It is that of weight * gap * `fine_detail`, divided by the sum of both batches': feature
    matching (Salimans et al. 2016) of one feature.
    """
    with tf.GradientTape() as tape:
        tape.watch(fake)
        shard = fine_detail(fake)
    in_real, in_fake = replica.all_reduce_mean([fine_detail(real), shard])
    both = in_real + in_fake + 1e-6  # both may be flat
    # A mean over steps: the gap of one batch would pull all images to the same energy.
    gap = state.detail_gap + ((in_fake - in_real) / both - state.detail_gap) / GAP_STEPS
    state.detail_gap.assign(gap)
    slope = state.generator_optimizer.scale_loss(config.detail_weight * gap / both)
    return slope * tape.gradient(shard, fake)


def random_shard(config, state, replica, distribution, shape, stream):
    """Return this device's shard of random numbers, a function of (seed, step, stream)."""
    seed = tf.stack([state.step, tf.constant(config.seed + (stream << 32), tf.int64)])
    return replica.shard(distribution([config.batch_size, *shape], seed, alg=ALGORITHM))


def gradient_norm(gradients, optimizer):
    return tf.linalg.global_norm(gradients) / optimizer.scale_loss(tf.constant(1.0))


class Trainer:
    """Takes many train steps in one call of a traced function."""

    def __init__(self, config, state, feed, replica=SINGLE):
        self.config, self.state, self.feed, self.replica = config, state, feed, replica
        self.trainers = [self]
        # One signature for every number of steps: traced once.
        self._run = tf.function(self._steps, input_signature=feed.signature, autograph=False)

    def train(self, batches):
        """Take a step for each batch: int32 [steps, batch] → float32 [steps, len(MEASURES)]."""
        try:
            arguments = self.feed.arguments(batches)
            with self.replica.scope():
                return self._run(*arguments)
        except tf.errors.OpError as error:
            if failure := self.feed.failure or self.replica.failure:
                raise failure from error  # which TensorFlow made an error of its own of
            raise

    def plan(self, config):
        """Take a configuration that differs in the number of epochs, and what follows from it."""
        self.config = config
        self.state.plan(config.epochs)

    def trace(self):
        """Return the traced function."""
        with self.replica.scope():
            return self._run.get_concrete_function()

    def _steps(self, batches, stream=None):
        # Many steps in one call: no way through Python between two of them. The loop is
        # spelled out, as AutoGraph needs the source and a place for files.
        count = tf.shape(batches)[0]

        def advance(index, measures):
            batch = self.feed.batch(batches[index], stream)
            return index + 1, measures.write(index, train_step(
                self.config, self.state, self.replica, *batch, ema_due=index > 0))

        measures = tf.TensorArray(tf.float32, size=count)
        _, measures = tf.while_loop(lambda index, _: index < count, advance, [0, measures])
        self.state.update_ema(self.config.ema, count > 0)
        return measures.stack()


def build_trainer(config, dataset, conditioning, streamed=False, replicas=(SINGLE,)):
    """Build the `Trainer` (or `ReplicaGroup`) of a run, and the `Sampler` of its EMA generator."""
    trainers = []
    for replica in replicas:
        with replica.scope():
            feed = Feed(dataset.images, conditioning, config.batch_size, config.seed, streamed,
                        replica)
            state = TrainState(config, dataset, conditioning, feed.steps_per_epoch)
            trainers.append(Trainer(config, state, feed, replica))
    sampler = Sampler(trainers[0].state.ema, conditioning, config.latent_dim)
    return (trainers[0] if len(trainers) == 1 else ReplicaGroup(trainers)), sampler


# Optimizer.


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` (Kingma & Ba 2015) with TensorFlow's fused update.

    Keras writes the update as some fifteen small operations per variable, which take longer
    than the arithmetic of small networks. The numbers are the same.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        steps = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, steps),
            beta2_power=tf.pow(self.beta_2, steps),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that falls linearly to a tenth over the last fraction `decay` of the steps."""

    def __init__(self, learning_rate, decay, steps=1):
        self.learning_rate, self.decay = learning_rate, decay
        # A variable, so that another number of steps needs no other graph.
        self.steps = tf.Variable(float(steps), trainable=False)

    def __call__(self, step):
        if self.decay == 0:
            return tf.convert_to_tensor(self.learning_rate, tf.float32)
        left = (self.steps - tf.cast(step, tf.float32)) / tf.maximum(self.decay * self.steps, 1.0)
        return self.learning_rate * tf.clip_by_value(left, FINAL_RATE, 1.0)
