"""Scalars and pictures for TensorBoard, written without TensorBoard.

`tf.summary.scalar` and `tf.summary.image` live in the tensorboard package,
which is not needed to write event files; `tf.summary.write` with the plugins'
names gives the same events.
"""

import tensorflow as tf

from gan.drawing.images import png_bytes
from gan.run.ownership import EVENTS


class Board:
    """Writes event files, or nothing when there is no folder."""

    def __init__(self, folder):
        """
        Args:
            folder: for the event files; None: write nothing.
        """
        self._writer = (
            tf.summary.create_file_writer(str(folder), filename_suffix=EVENTS) if folder else None)

    def scalars(self, values, step):
        """Write numbers: dict of name → number, at the epoch `step`."""
        for name, value in values.items():
            self._write("scalars", name, tf.constant(value, tf.float32), step)

    def image(self, name, image, step):
        """Write a picture, uint8 [H, W, C], at the epoch `step`."""
        height, width = (str(side).encode() for side in image.shape[:2])
        self._write("images", name, tf.constant([width, height, png_bytes(image)]), step)

    def _write(self, plugin, name, tensor, step):
        if self._writer is None:
            return
        metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin),
            data_class={"scalars": 1, "images": 3}[plugin],
        )
        with self._writer.as_default():
            tf.summary.write(name, tensor, step=step, metadata=metadata)
        self._writer.flush()
