"""Points of the line or the plane: a user's own, and simulated ones whose modes are known."""

from typing import NamedTuple

import numpy as np

from gan.common.errors import UserError, note

COUNT = 102_400  # points to learn from
TEST_COUNT = 10_000  # and to compare with
PIECES = 10  # a curve has no modes; equal pieces of it stand in for them
CURVE = 1000  # points that a curve's center line is written down with
MOST_DEVIATIONS = 4  # from the center that plots show of a user's points
LEAST_EXTENT = 1e-4  # of the center: less is lost in float32


class Box(NamedTuple):
    """The range that plots show; half of it is the networks' unit."""

    center: tuple  # along each axis
    extent: tuple  # from the center to the sides


UNIT = Box(0.0, 1.0)


class Modes(NamedTuple):
    """The known skeleton of a distribution."""

    skeleton: np.ndarray  # float32 [S, 2], without noise: the modes, or a curve in small steps
    mode_of: np.ndarray  # int32 [S], the mode (the piece of the curve) of each of them
    deviation: float  # standard deviation of the noise, along each axis


def box_of(metadata):
    """Return the center and the extent of an export of points, float [2, D]."""
    dimensions = metadata["sample_shape"][0]
    sides = metadata.get("center", 0.0), metadata.get("extent", 1.0)
    return np.stack([np.broadcast_to(np.asarray(side, np.float64), dimensions) for side in sides])


def are_points(shape):
    """Whether an array of a shape holds points: [N], [N, 1] or [N, 2]."""
    return len(shape) == 1 or len(shape) == 2 and shape[1] <= 2


def points_from_arrays(where, arrays):
    """Return the attributes of a `Dataset` of arrays, a dict as `read_npz` returns it."""
    points = _to_points(arrays["images"], f"{where}: points")
    center = points.mean(axis=0, dtype=np.float64)
    extent = np.minimum(1.1 * np.abs(points - center).max(axis=0),
                        MOST_DEVIATIONS * points.std(axis=0, dtype=np.float64))
    if (extent <= LEAST_EXTENT * np.abs(center)).any():
        raise UserError(f"{where}: points: expected more than {LEAST_EXTENT:g} of the mean between "
                        f"values along each axis, got: at most {extent.tolist()} from "
                        f"{center.tolist()}; subtract the mean, or leave out what is constant")
    tests = arrays.get("test_images")
    if tests is not None:
        tests = _to_points(tests, f"{where}: test points")
        if tests.shape[1] != points.shape[1]:
            raise UserError(f"{where}: test points: expected [M, {points.shape[1]}], "
                            f"got: {list(tests.shape)}")
        tests = np.random.default_rng(0).permutation(tests)
    if "labels" in arrays:
        note(f"{where}: points are learned without their labels")
    return {"images": points, "test_images": tests,
            "box": Box(tuple(center.tolist()), tuple(extent.tolist()))}


def _to_points(points, where):
    """Return float32 [N, D]."""
    if not are_points(points.shape) or points.dtype.kind not in "uif" or len(points) < 2:
        raise UserError(f"{where}: expected numbers [N, 2] or [N, 1] with N at least 2, "
                        f"got: {points.dtype} {list(points.shape)}")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32).reshape(len(points), -1)
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if wrong.size:
        raise UserError(f"{where}: expected finite numbers, got: {points[wrong[0]].tolist()} in "
                        f"row {wrong[0]}")
    return points


def simulate(name):
    """Draw one of the `DISTRIBUTIONS`, always the same points: attributes of a `Dataset`."""
    skeleton_of, modes, deviation, extent = DISTRIBUTIONS[name]
    skeleton = skeleton_of().astype(np.float32)
    mode_of = np.arange(len(skeleton), dtype=np.int32) * modes // len(skeleton)
    random = np.random.default_rng(0)
    chosen = skeleton[random.integers(len(skeleton), size=COUNT + TEST_COUNT)]
    points = chosen + random.normal(0, deviation, chosen.shape)
    points = points.astype(np.float32)
    return {"images": points[:COUNT], "test_images": points[COUNT:],
            "box": Box((0.0, 0.0), (extent, extent)),
            "modes": Modes(skeleton, mode_of, deviation)}


def _ring():
    """8 Gaussians on a circle (Metz et al. 2017, "Unrolled Generative Adversarial Networks")."""
    angles = np.arange(8) * np.pi / 4
    return 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _grid():
    """5 x 5 Gaussians (Srivastava et al. 2017, "VEEGAN")."""
    places = 2.0 * np.arange(-2, 3)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def _moons():
    """Two half circles that reach into each other."""
    angles = _steps(CURVE // 2) * np.pi
    upper = np.stack([np.cos(angles) - 0.5, np.sin(angles) - 0.25], axis=1)
    return 2 * np.concatenate([upper, -upper])


def _swiss_roll():
    """A spiral of one and a half turns."""
    # Equal steps of the arc, which is nearly t^2 / 2 for a radius of t.
    turns = np.sqrt(1.5**2 + (4.5**2 - 1.5**2) * _steps(CURVE)) * np.pi
    return np.stack([np.cos(turns), np.sin(turns)], axis=1) * turns[:, None] / (1.5 * np.pi)


def _line():
    along = 4 * _steps(CURVE) - 2
    return np.stack([along, 0.5 * along], axis=1)


def _steps(count):
    return (np.arange(count) + 0.5) / count


# The skeleton, the modes in it, the deviation from them, and the extent of plots.
DISTRIBUTIONS = {"ring": (_ring, 8, 0.02, 3.0), "grid": (_grid, 25, 0.05, 5.5),
                 "moons": (_moons, PIECES, 0.05, 3.75),
                 "swiss_roll": (_swiss_roll, PIECES, 0.05, 3.75),
                 "line": (_line, PIECES, 0.05, 3.0)}
