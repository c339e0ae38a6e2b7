"""Tests, with the kernels that `import_tensorflow` chooses; most import TensorFlow before it."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
