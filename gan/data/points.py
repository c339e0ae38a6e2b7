"""Simulated points of the plane whose modes are known, so that coverage can be counted."""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

COUNT = 102_400  # points to learn from
TEST_COUNT = 10_000  # and to compare with
PIECES_OF_CURVE = 10  # a curve has no modes; equal pieces of it stand in for them
PIECE_POINTS = 100  # that a piece's center line is written down with


@dataclass(frozen=True)
class PointDataset:
    """Points of the plane, scattered around a known skeleton."""

    name: str
    points: np.ndarray  # float32 [N, 2]
    test_points: np.ndarray  # float32 [M, 2]
    skeleton: np.ndarray  # float32 [S, 2], without noise: the modes, or a curve in small steps
    mode_of: np.ndarray  # int32 [S], the mode (the piece of the curve) of each of them
    deviation: float  # standard deviation of the noise, along each axis
    extent: float  # half the side of the square around 0 that plots show; the networks' unit
    labels = None
    class_names = ()
    streamed, background = False, None

    @property
    def samples(self):
        return self.points

    def sample(self):
        return self

    @property
    def sample_shape(self):
        return self.points.shape[1:]

    @functools.cached_property
    def fingerprint(self):
        return hashlib.sha256(np.ascontiguousarray(self.points)).hexdigest()[:16]


def simulate(name):
    """Draw one of the `DISTRIBUTIONS`; the same name gives the same `PointDataset`."""
    skeleton, mode_of, deviation, extent = DISTRIBUTIONS[name]()
    skeleton = skeleton.astype(np.float32)
    random = np.random.default_rng(0)
    chosen = skeleton[random.integers(len(skeleton), size=COUNT + TEST_COUNT)]
    points = chosen + random.normal(0, deviation, chosen.shape)
    points = points.astype(np.float32)
    return PointDataset(name, points[:COUNT], points[COUNT:], skeleton,
                        mode_of.astype(np.int32), deviation, extent)


def _ring():
    """8 Gaussians on a circle (Metz et al. 2017, "Unrolled Generative Adversarial Networks")."""
    angles = np.arange(8) * np.pi / 4
    return 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1), np.arange(8), 0.02, 3.0


def _grid():
    """5 x 5 Gaussians (Srivastava et al. 2017, "VEEGAN")."""
    places = 2.0 * np.arange(-2, 3)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2), np.arange(25), 0.05, 5.5


def _moons():
    """Two half circles that reach into each other."""
    angles = _steps(PIECES_OF_CURVE // 2) * np.pi
    upper = np.stack([np.cos(angles) - 0.5, np.sin(angles) - 0.25], axis=1)
    return 2 * np.concatenate([upper, -upper]), _pieces(PIECES_OF_CURVE), 0.05, 3.75


def _swiss_roll():
    """A spiral of one and a half turns."""
    # Equal steps of the arc, which is nearly t^2 / 2 for a radius of t.
    turns = np.sqrt(1.5**2 + (4.5**2 - 1.5**2) * _steps(PIECES_OF_CURVE)) * np.pi
    roll = np.stack([np.cos(turns), np.sin(turns)], axis=1) * turns[:, None] / (1.5 * np.pi)
    return roll, _pieces(PIECES_OF_CURVE), 0.05, 3.75


def _line():
    along = 4 * _steps(PIECES_OF_CURVE) - 2
    return np.stack([along, 0.5 * along], axis=1), _pieces(PIECES_OF_CURVE), 0.05, 3.0


def _steps(pieces):
    return (np.arange(pieces * PIECE_POINTS) + 0.5) / (pieces * PIECE_POINTS)


def _pieces(count):
    return np.repeat(np.arange(count), PIECE_POINTS)


DISTRIBUTIONS = {"ring": _ring, "grid": _grid, "moons": _moons, "swiss_roll": _swiss_roll,
                 "line": _line}
