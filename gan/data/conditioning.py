"""What each image is conditioned on: nothing, its label, its cluster.

A generator that is told which of many small groups to draw from has an easier
task, and a discriminator that is told it a stricter one. Labels serve when
there are any; k-means clusters of the images serve without (Liu et al. 2020,
"Diverse Image Generation via Self-Conditioned GANs"), and clusters within each
label serve best.
"""

import numpy as np

from gan.common.errors import UserError
from gan.data.clustering import cluster_features, k_means
from gan.data.component_count import components_for
from gan.data.components import Components
from gan.data.conditions import Conditioning, from_groups, from_planes
from gan.data.names import STACKED
from gan.data.sizes import IMAGES_PER_CLUSTER

CLUSTERS_PER_LABEL = 12
CLUSTERS_WITHOUT_LABELS = 256
CLUSTERS_OF_PLANE = 16
GROUPS_OF_CLUSTERS = 10


def condition_dataset(dataset, kind, clusters, seed, components=None):
    """Give every image of a data set its condition.

    Args:
        dataset: a `Dataset`.
        kind: "auto", "labels", "clusters", "planes" or "none"; see `TrainConfig.condition`.
        clusters: how many clusters (within each label, in each plane, or in all), at most: one
            for each 16 images; None: the default.
        seed: of the k-means starts.
        components: how many principal components within the clusters, at most (fewer for
            few images); None: the default. There are none in planes, and without clusters.

    Returns:
        A `Conditioning`.

    Raises:
        UserError: for "labels" without labels.
    """
    kind = kind_for(dataset, kind)
    if kind == "none":
        return Conditioning(np.zeros(len(dataset.samples), np.int32), np.ones(1, np.float32),
                            np.zeros((1, 1), np.int32), kind)
    if kind == "labels" and dataset.labels is None:
        raise UserError(
            f"--condition: expected clusters or none, as {dataset.name} has no labels, got: labels"
        )
    random = np.random.default_rng([seed, 1])
    if kind == "planes" and dataset.images.shape[-1] == 1:
        raise UserError("--condition: expected images of several colour planes for planes, "
                        f"got: {dataset.name}, which is grey")
    if kind == "planes":
        default = min(CLUSTERS_OF_PLANE, len(dataset.images))
        return _by_planes(dataset.images, clusters or default, random)
    return _by_clusters(dataset, kind == "labels", clusters,
                        components_for(dataset, components), random)


def kind_for(dataset, kind):
    """Return the kind of conditions that a data set gets: what "auto" stands for."""
    if kind != "auto":
        return kind
    if dataset.name == STACKED:  # its planes show a digit each, which clusters would mix
        return "planes"
    return "clusters" if dataset.labels is None else "labels"


def _by_clusters(dataset, labelled, clusters, components, random):
    """Clusters within each label, or of all images, and the group of each."""
    features = cluster_features(dataset.images)
    groups = dataset.labels if labelled else np.zeros(len(features), np.int32)
    wanted = clusters or (CLUSTERS_PER_LABEL if labelled else CLUSTERS_WITHOUT_LABELS)
    ids, group_of = np.zeros(len(features), np.int32), []
    for group in range(groups.max() + 1):
        members = np.flatnonzero(groups == group)
        if len(members) == 0:
            continue
        number = min(wanted, max(1, len(members) // IMAGES_PER_CLUSTER))
        found = k_means(features[members], number, random)
        # Clusters that came out empty leave no gap in the numbers.
        present, found = np.unique(found, return_inverse=True)
        ids[members] = len(group_of) + found
        group_of += [group] * len(present)
    count, group_of = len(group_of), np.array(group_of, np.int32)
    if not labelled:
        centres = np.stack([features[ids == cluster].mean(axis=0) for cluster in range(count)])
        found = k_means(centres, min(GROUPS_OF_CLUSTERS, count), random)
        group_of = np.unique(found, return_inverse=True)[1]
    levels = Components(features, ids, group_of, components).levels
    return from_groups(ids, group_of, labelled, levels)


def _by_planes(images, clusters, random):
    """The cluster in each colour plane: for planes that show different things."""
    planes = images.shape[-1]
    if clusters > len(images):
        raise UserError(f"--clusters: expected at most {len(images)}, the number of images "
                        f"to divide, got: {clusters}")
    found = np.stack([
        k_means(cluster_features(images[..., plane : plane + 1]), clusters, random)
        for plane in range(planes)
    ], axis=1)
    return from_planes(found, clusters)
