"""Playground page of an exported generator: what it draws, network and weights in one file."""

from pathlib import Path

import numpy as np

from gan.common.html import html_page
from gan.data.pixels import premultiplied
from gan.data.points import box_of
from gan.data.sample_types import sample_type_of
from gan.playground.network import Network, pack, read_signature, rounded

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("engine.js", "seeds.js", "artist.js", "playground.js")
MOST_DIRECTIONS = 8  # sliders


class WebGenerator:
    """A `SavedGenerator` as the page holds it."""

    def __init__(self, saved):
        self._saved = saved
        # float32 [K, W], or None for a single condition.
        self._vectors = saved.condition_vectors(
            np.arange(len(saved.metadata["conditions"]["probabilities"])))
        self._signature = "serving_default" if self._vectors is None else "images_from_vectors"
        self._network = Network(read_signature(saved.signatures[self._signature],
                                               self._inputs([0])))

    def half_difference(self, seeds):
        """Return how far float16 weights move a pixel of these seeds, in gray levels of 256."""
        variables = self._saved.signatures[self._signature].variables
        weights = [variable.numpy() for variable in variables]
        exact = self._draw(seeds)
        for variable, array in zip(variables, weights, strict=True):
            variable.assign(rounded(array))
        half = self._draw(seeds)
        for variable, array in zip(variables, weights, strict=True):
            variable.assign(array)
        return 255 * float(np.abs(premultiplied(exact) - premultiplied(half)).max())

    def page(self, model, half):
        """Return the page as text; its commands name the export as the user did: `model`."""
        network, weights = pack(self._network, half)
        return write_page(self._description(model), network, weights)

    def _inputs(self, seeds):
        latents, conditions = self._saved.latents(seeds)
        vectors = {} if self._vectors is None else {"vectors": self._vectors[conditions]}
        return {"latents": latents} | vectors

    def _draw(self, seeds):
        return next(iter(self._saved.call(self._signature, **self._inputs(seeds)).values()))

    def _box(self):
        if len(self._saved.sample_shape) == 3:
            return {}
        center, extent = box_of(self._saved.metadata).tolist()
        if len(center) == 1:  # the height is the page's own, see `placeOf`
            center, extent = center + [0.0], extent + [1.0]
        return {"center": center, "extent": extent}

    def _description(self, model):
        metadata = self._saved.metadata
        config, metrics = metadata["config"], metadata.get("metrics") or {}
        return {
            "model": f"./{model}" if str(model).startswith("-") else str(model),
            "kind": sample_type_of(self._saved.sample_shape).name,
            "sample_shape": list(self._saved.sample_shape),
            "latent_dim": metadata["latent_dim"], **self._box(),
            "dataset": str(metadata.get("dataset", "")), "arch": str(config.get("arch", "")),
            "epochs": metadata.get("epochs"), "frechet": metrics.get("frechet"),
            "class_names": metadata["class_names"], "conditions": metadata["conditions"],
            "vectors": None if self._vectors is None else [
                [[int(place), float(vector[place])] for place in np.flatnonzero(vector)]
                for vector in self._vectors],
            "vector_length": 0 if self._vectors is None else self._vectors.shape[1],
            "directions": directions(self._network, metadata["latent_dim"]),
        }


def write_page(description, network, weights):
    """Return the page as text, of a description and what `pack` returns."""
    return html_page(
        ASSETS / "playground.html", ASSETS / "playground.css", [ASSETS / name for name in SCRIPTS],
        f"Generator of {description['dataset'] or 'samples'}",
        {"description": description, "network": network, "weights": weights},
        policy="worker-src blob:")


def directions(network, latent_dim):
    """Return the directions of the latent vector that change the first layer most.

    They are the eigenvectors of W Wᵀ, where W holds the first layer's weights of the latent
    (Shen & Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs"): unit vectors,
    the most effective first. There are none where the first layer is no matrix.
    """
    first = next((operation for operation in network.operations
                  if operation["op"] not in ("concat", "reshape")), None)
    if first is None or first["op"] != "matmul":
        return []
    # Latents come before condition vectors, see `generator_inputs`.
    weights = network.constants[first["in"][1]][:latent_dim].astype(np.float64)
    _, vectors = np.linalg.eigh(weights @ weights.T)
    best = vectors.T[::-1][:MOST_DIRECTIONS]
    # The sign is free; fixed, so that the same export gives the same page.
    best = best * np.sign(best[np.arange(len(best)), np.abs(best).argmax(axis=1)])[:, None]
    return best.round(5).tolist()
