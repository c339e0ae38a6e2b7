"""What the picture of an epoch shows: a sheet of images, or points in the plane."""

import numpy as np

from gan.drawing import images, plots

SURFACE = 160  # places each way at which the decision surface is evaluated
REAL_POINTS = 2000


class Sheet:
    """The same latents after every epoch, with labels one class a row."""

    def __init__(self, dataset, sampler, count):
        """
        Args:
            dataset: `Dataset`.
            sampler: `Sampler` of the EMA generator.
            count: images in the picture.
        """
        self._sampler = sampler
        self._chosen = sampler.picture_samples(count)
        self._real = dataset.examples(count)

    def real(self):
        """Return the picture of real images, uint8 [H, W, C]."""
        return images.sheet(self._real)

    def draw(self):
        """Return the picture of what the generator draws now, uint8 [H, W, C]."""
        return images.sheet(images.to_uint8(self._sampler.sample(*self._chosen)))


class Plane:
    """Real and generated points over the discriminator's decision surface."""

    def __init__(self, dataset, sampler, discriminator, count):
        """
        Args:
            dataset: `PointDataset`.
            sampler: `Sampler` of the EMA generator.
            discriminator: Sequential, float32 [N, 2] → float32 [N, 1].
            count: generated points in the picture.
        """
        import tensorflow as tf

        self._sampler, self._extent = sampler, dataset.extent
        self._chosen = sampler.picture_samples(count)
        self._real = dataset.test_points[:REAL_POINTS]
        side = np.linspace(-self._extent, self._extent, SURFACE, dtype=np.float32)
        places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        self._logits = tf.function(lambda: discriminator(places, training=False)[:, 0],
                                   autograph=False)

    def real(self):
        """Return the picture of real points, uint8 [H, W, 3]."""
        return plots.draw_plane(self._extent, real=self._real)

    def draw(self):
        """Return the picture of what both networks do now, uint8 [H, W, 3]."""
        logits = self._logits().numpy().reshape(SURFACE, SURFACE)
        generated = self._sampler.sample(*self._chosen).numpy()
        return plots.draw_plane(self._extent, self._real, generated, logits)
