"""Tests, run with the kernels that `import_tensorflow` selects for the commands."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
