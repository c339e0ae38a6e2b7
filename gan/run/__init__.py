"""The life of a run: its folder, checkpoints, history, progress and loop."""
