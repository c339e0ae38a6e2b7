"""A generator as one HTML file: its SavedModel's graph as a list of operations, and the page."""
