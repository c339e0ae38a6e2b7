"""The report of a run as one HTML file: what it says, how it looks, what moves in it."""
