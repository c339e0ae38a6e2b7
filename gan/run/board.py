"""TensorBoard event files, written without the tensorboard package."""

import time

import tensorflow as tf

from gan.drawing.images import png_bytes
from gan.run.folder import EVENTS


class Board:
    """Writes scalars and images, or nothing when there is no folder."""

    def __init__(self, folder):
        """
        Args:
            folder: `RunFolder`, in which the event file is listed first; None: write nothing.
        """
        self._writer = None
        if folder is not None:
            name = f"events.out.tfevents.{time.time_ns()}{EVENTS}"
            path = folder.claim(folder.tensorboard / name)
            self._writer = tf.io.TFRecordWriter(str(path))
            self._write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, values, step):
        """Write numbers: dict of name → number, at the epoch `step`."""
        for name, value in values.items():
            self._add("scalars", 1, name, tf.constant(value, tf.float32), step)

    def image(self, name, image, step):
        """Write a picture, uint8 [H, W, C], at the epoch `step`."""
        height, width = (str(side).encode() for side in image.shape[:2])
        self._add("images", 3, name, tf.constant([width, height, png_bytes(image)]), step)

    def _add(self, plugin, data_class, name, tensor, step):
        if self._writer is None:
            return
        summary = tf.compat.v1.Summary()
        value = summary.value.add(tag=name, tensor=tf.make_tensor_proto(tensor.numpy()))
        value.metadata.plugin_data.plugin_name = plugin
        value.metadata.data_class = data_class
        self._write(tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event):
        self._writer.write(event.SerializeToString())
        self._writer.flush()
