"""What the page must know of an exported generator, and whether it will draw the same."""

import numpy as np

from gan.common.errors import UserError
from gan.kinds import kind_of
from gan.playground.frozen import read_signature, with_constants
from gan.playground.network import Network, rounded

MOST_DIRECTIONS = 8  # sliders


class WebGenerator:
    """An export as the page holds it.

    Attributes:
        network: `Network`.
        codes: float32 [K, W] of the conditions, or None for a generator with one.
    """

    def __init__(self, saved):
        """
        Args:
            saved: `SavedGenerator`.

        Raises:
            UserError: for an export that does not tell its conditions, or whose
                network has an operation that the page does not know.
        """
        self._saved, metadata = saved, saved.metadata
        if "conditions" not in metadata:
            raise UserError(
                "--model: expected an export that tells how frequent its conditions are, got one "
                f"of version {metadata.get('version')}; train_gan.py --resume writes it again")
        self.codes = saved.codes(np.arange(len(metadata["conditions"]["probabilities"])))
        name = "serving_default" if self.codes is None else "images_from_codes"
        self._signature = saved.signatures[name]
        self._output, self._frozen = read_signature(saved.signatures[name], self._inputs([0]))
        self.network = Network(self._output)

    def half_difference(self, seeds):
        """Return how far images move when the weights are rounded to float16.

        Args:
            seeds: whole numbers, of the images that are compared.

        Returns:
            The largest difference of a pixel in grey levels of 256.
        """
        exact, half = (with_constants(self._frozen, self._output, change)
                       for change in (lambda array: array, rounded))
        differences = [np.abs(exact(given) - half(given)).max()
                       for given in (self._inputs([seed]) for seed in seeds)]
        return 255 * float(np.max(differences))

    def _inputs(self, seeds):
        latents, conditions = self._saved.latents(seeds)
        codes = {} if self.codes is None else {"codes": self.codes[conditions]}
        return {"latents": latents} | codes

    def description(self, model):
        """Return dict for JSON: what the page draws and says, network and weights aside.

        Args:
            model: path of the export as the user named it, for commands to type.
        """
        metadata = self._saved.metadata
        config, metrics = metadata["config"], metadata.get("metrics")
        return {
            "model": str(model), "kind": kind_of(self._saved.sample_shape).name,
            "sample_shape": list(self._saved.sample_shape),
            "latent_dim": metadata["latent_dim"], "extent": metadata.get("extent", 1.0),
            "dataset": str(metadata.get("dataset", "")), "arch": str(config.get("arch", "")),
            "epochs": metadata.get("epochs"), "version": str(metadata.get("version", "")),
            "frechet": _number(metrics, "frechet"),
            "class_names": metadata["class_names"],
            "conditions": metadata["conditions"],
            "codes": None if self.codes is None else [_sparse(code) for code in self.codes],
            "code_width": 0 if self.codes is None else self.codes.shape[1],
            "directions": directions(self.network, metadata["latent_dim"]),
        }


def _number(metrics, name):
    """Return a metric, or None where it was not measured."""
    value = metrics.get(name) if isinstance(metrics, dict) else None
    return value if type(value) in (int, float) and np.isfinite(value) else None


def _sparse(code):
    """Return [[place, value], …] of a code's places that are not 0."""
    return [[int(place), float(code[place])] for place in np.flatnonzero(code)]


def directions(network, latent_dim):
    """Return the directions of the latent vector that change the first layer most.

    They are the eigenvectors of W Wᵀ, where W holds the first layer's weights
    of the latent (Shen & Zhou 2021, "Closed-Form Factorization of Latent
    Semantics in GANs").

    Args:
        network: `Network`.
        latent_dim: length of the latent vector.

    Returns:
        List of unit vectors, lists of float, the most effective first; empty
        where the first layer is no matrix.
    """
    reached, start = {network.inputs["latents"]}, 0
    for operation in network.operations:
        numbers = operation["in"]
        if reached.isdisjoint(numbers):
            continue
        if operation["op"] == "matmul":
            weights = network.constants[numbers[1]][start : start + latent_dim].astype(np.float64)
            _, vectors = np.linalg.eigh(weights @ weights.T)
            best = vectors.T[::-1][:MOST_DIRECTIONS]
            # The sign is free; fixed, so that the same export gives the same page.
            best = best * np.sign(best[np.arange(len(best)), np.abs(best).argmax(axis=1)])[:, None]
            return [[round(float(one), 5) for one in vector] for vector in best]
        if operation["op"] == "concat":
            before = numbers[: next(i for i, one in enumerate(numbers) if one in reached)]
            start += sum(network.shapes[one][-1] for one in before)
        elif operation["op"] != "reshape":
            return []
        reached.add(operation["out"])
    return []
