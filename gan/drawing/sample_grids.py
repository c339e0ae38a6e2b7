"""Pictures of an epoch: a grid of images, or a plot of points."""

import numpy as np

from gan.data.pixels import slices_of
from gan.drawing import images, plots

SURFACE = 160  # places each way at which the decision surface is evaluated
REAL_POINTS = 2000
VALUES = 2**22  # numbers of the images drawn at a time


def pictures_of(dataset, sampler, discriminator, count, log_odds):
    """Return what draws a run's pictures of `count` samples: a `SampleGrid` or `PointPlot`."""
    if dataset.box:
        return PointPlot(dataset, sampler, discriminator, count, log_odds)
    return SampleGrid(dataset, sampler, count)


class SampleGrid:
    """Images of the same latents after every epoch, with labels one class a row."""

    def __init__(self, dataset, sampler, count):
        self._sampler = sampler
        self._chosen = sampler.picture_latents(count)
        self._real = dataset.examples(count)

    def real(self):
        return images.image_grid(self._real)

    def draw(self):
        latents, conditions = self._chosen
        return images.image_grid(np.concatenate([
            self._sampler.kind.to_stored(self._sampler.generate(latents[part], conditions[part]))
            for part in slices_of(latents, values=VALUES, shape=self._real.shape[1:])]))


class PointPlot:
    """Real and generated points over the discriminator's decision surface."""

    def __init__(self, dataset, sampler, discriminator, count, log_odds):
        import tensorflow as tf

        self._sampler, self._box, self._log_odds = sampler, dataset.box, log_odds
        self._chosen = sampler.picture_latents(count)
        self._real = dataset.examples(REAL_POINTS)
        sides = plots.sides_of(dataset.box, SURFACE).astype(np.float32)
        self._places = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, len(sides))
        self._output = tf.function(lambda points: discriminator(points, training=False)[:, 0],
                                   autograph=False)

    def real(self):
        return plots.point_plot(self._box, real=self._real)

    def draw(self):
        generated = self._sampler.generate(*self._chosen).numpy()
        surface, real, fake = (self._output(points).numpy()
                               for points in (self._places, self._real, generated))
        shade, caption = surface_shade(surface, real, fake, self._log_odds)
        return plots.point_plot(self._box, self._real, generated,
                                shade.reshape([SURFACE] * self._real.shape[1]), caption)


def surface_shade(surface, real, fake, log_odds):
    """Return the shade in [-1, 1] of the discriminator's output on the plane, and a caption."""
    if log_odds:  # 2 sigmoid(x) - 1
        return np.tanh(surface / 2), "probability of “real”: violet 1, white 0.5, orange 0"
    # A critic's output may have any offset and unit: compare it with what samples get.
    relative = surface - (real.mean() + fake.mean()) / 2
    spread = max(np.percentile(np.abs(relative), 75), 1)
    return np.tanh(relative / spread), "discriminator's output: violet higher, orange lower"
