"""What the picture of an epoch shows: a sheet of images, or points in the plane."""

import numpy as np

from gan.drawing import images, plots

SURFACE = 160  # places each way at which the decision surface is evaluated
REAL_POINTS = 2000


class Sheet:
    """The same latents after every epoch, with labels a class a row."""

    def __init__(self, trainer, dataset, count):
        """
        Args:
            trainer: `Trainer`.
            dataset: `Dataset`.
            count: images in the picture.
        """
        self._trainer = trainer
        self._samples = trainer.picture_samples(count)
        self._real = dataset.examples(count)

    def real(self):
        """Return the picture of real images, uint8 [H, W, C]."""
        return images.sheet(self._real)

    def draw(self):
        """Return the picture of what the generator draws now, uint8 [H, W, C]."""
        return images.sheet(images.to_uint8(self._trainer.sample(*self._samples)))


class Plane:
    """Real and generated points over the discriminator's decision surface."""

    def __init__(self, trainer, dataset, count):
        """
        Args:
            trainer: `Trainer`.
            dataset: `PointDataset`.
            count: generated points in the picture.
        """
        self._trainer, self._extent = trainer, dataset.extent
        self._samples = trainer.picture_samples(count)
        self._real = dataset.test_points[:REAL_POINTS]
        places = np.linspace(-self._extent, self._extent, SURFACE, dtype=np.float32)
        self._places = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)

    def real(self):
        """Return the picture of real points, uint8 [H, W, 3]."""
        return plots.draw_plane(self._extent, real=self._real)

    def draw(self):
        """Return the picture of what both networks do now, uint8 [H, W, 3]."""
        logits = self._trainer.judge_points(self._places).numpy()
        return plots.draw_plane(
            self._extent, self._real, self._trainer.sample(*self._samples).numpy(),
            logits.reshape(SURFACE, SURFACE),
        )


def gallery_for(trainer, dataset, count):
    """Return the `Sheet` or the `Plane` of a data set."""
    kind = Plane if len(dataset.sample_shape) == 1 else Sheet
    return kind(trainer, dataset, count)
