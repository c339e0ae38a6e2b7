"""The condition of every training image, as the networks are told it and as it is saved."""

from dataclasses import dataclass, replace

import numpy as np

from gan.common.errors import UserError

MOST_INDICES, MOST_COMPONENTS = 10**5, 50  # values in a code, and beside it
# The names in checkpoints are older than those of the fields; to change them would
# lose every run that was saved before.
SAVED_AS = {"ids": "conditions/ids", "probabilities": "conditions/shares",
            "code_indices": "conditions/parts", "kind": "conditions/kind",
            "class_of": "conditions/class_of", "components": "conditions/components"}


@dataclass(frozen=True)
class Conditioning:
    """The condition of every training image.

    Attributes:
        ids: int32 [N] in [0, K).
        probabilities: float32 [K], how often each condition occurs; the sum is 1.
        code_indices: int32 [K, P], where the code of each condition is 1: at its
            own index, at its group's (its label, or its cluster of clusters), and
            at one that all share; for colour planes at the cluster's in each.
        kind: "labels", "clusters", "planes" or "none".
        class_of: int32 [K], the label of each condition, or None without labels.
        components: uint8 [N, D], what the first D numbers of an image's latent vector
            stand for, see `gan.data.components`; None for nothing.
    """

    ids: np.ndarray
    probabilities: np.ndarray
    code_indices: np.ndarray
    kind: str
    class_of: np.ndarray | None = None
    components: np.ndarray | None = None

    @property
    def component_count(self):
        """D, the number of components."""
        return 0 if self.components is None else self.components.shape[1]

    def with_components(self, most):
        """Return the same with the first components only, so many at most."""
        few = None if not most or self.components is None else self.components[:, :most]
        return replace(self, components=few)

    @property
    def count(self):
        """K, the number of conditions."""
        return len(self.probabilities)

    @property
    def codes(self):
        """The vector that tells the networks each condition, float32 [K, W].

        Ones at its `code_indices`, else 0: what is common to a group, or to all
        images, is then learned once and not K times. W is 1 for one condition.
        """
        codes = np.zeros((self.count, self.code_indices.max() + 1), np.float32)
        np.put_along_axis(codes, self.code_indices, 1, axis=1)
        return codes

    def describe(self):
        """The conditions in words."""
        number = self.component_count
        return {
            "none": "none",
            "labels": f"{self.count} clusters within the labels",
            "clusters": f"{self.count} clusters of all images",
            "planes": f"{self.count} combinations of clusters in the colour planes",
        }[self.kind] + (f", {number} principal components within them" if number else "")

    def to_arrays(self):
        """Return dict of name → array, for a checkpoint."""
        arrays = {name: getattr(self, field) for field, name in SAVED_AS.items()}
        arrays[SAVED_AS["kind"]] = np.array(self.kind)
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays, samples):
        """Make again what `to_arrays` was called on.

        Args:
            arrays: dict of name → array, as `to_arrays` returned it.
            samples: how many conditions there must be.

        Raises:
            UserError: when they are not those of a conditioning.
        """
        saved = {field: arrays.get(name) for field, name in SAVED_AS.items()}
        if not _fits(samples, **saved):
            raise UserError("--resume: expected a checkpoint with the conditions of "
                            f"{samples} samples, got another")
        class_of = saved["class_of"]
        return cls(saved["ids"].astype(np.int32), saved["probabilities"].astype(np.float32),
                   saved["code_indices"].astype(np.int32), str(saved["kind"]),
                   None if class_of is None else class_of.astype(np.int32), saved["components"])


def _fits(samples, ids, probabilities, code_indices, kind, class_of, components):
    """Whether arrays out of a file are those of a conditioning of so many samples."""
    try:
        count = len(probabilities)
        return bool(
            ids.shape == (samples,) and ids.min() >= 0 and ids.max() < count
            and probabilities.shape == (count,) and np.isfinite(probabilities).all()
            and code_indices.ndim == 2 and len(code_indices) == count
            and code_indices.min() >= 0 and code_indices.max() < MOST_INDICES
            and (class_of is None or class_of.shape == (count,))
            and (components is None or (components.dtype == np.uint8 and components.ndim == 2
                                        and len(components) == samples
                                        and components.shape[1] <= MOST_COMPONENTS))
            and str(kind) in ("labels", "clusters", "planes", "none"))
    except (TypeError, AttributeError, ValueError):
        return False


def from_groups(ids, group_of, labelled, levels=None):
    """Return the `Conditioning` of clusters that belong to groups.

    Args:
        ids: int32 [N] in [0, K), each image's cluster; each occurs.
        group_of: int [K], each cluster's label, or its cluster of clusters.
        labelled: whether the groups are labels.
        levels: uint8 [N, D], the components within the clusters; None or D = 0 for none.
    """
    levels = levels if levels is not None and levels.size else None
    count, kind = len(group_of), "labels" if labelled else "clusters"
    probabilities = np.bincount(ids, minlength=count).astype(np.float32) / len(ids)
    if count == 1:
        return Conditioning(ids, probabilities, np.zeros((1, 1), np.int32), kind,
                            group_of if labelled else None, levels)
    own = np.arange(count)
    shared = np.full(count, count + group_of.max() + 1)
    indices = np.stack([own, count + group_of, shared], axis=1)
    return Conditioning(ids, probabilities, indices.astype(np.int32), kind,
                        group_of if labelled else None, levels)


def from_planes(found, clusters):
    """Return the `Conditioning` of clusters in colour planes.

    Args:
        found: int [N, planes] in [0, clusters), the cluster of each plane.
        clusters: in a plane.
    """
    planes = found.shape[1]
    present, ids = np.unique(found, axis=0, return_inverse=True)
    probabilities = np.bincount(ids.ravel()).astype(np.float32) / len(ids)
    shared = np.full((len(present), 1), planes * clusters)
    indices = np.concatenate([present + clusters * np.arange(planes), shared], axis=1)
    return Conditioning(ids.ravel().astype(np.int32), probabilities, indices.astype(np.int32),
                        "planes")
