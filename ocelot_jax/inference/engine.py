"""What every engine computes: class probabilities of a batch of pairs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

Batch = Mapping[str, Any]


class Maps(NamedTuple):
    """Class probabilities, float32 arrays of JAX or NumPy.

    Attributes:
        cell: [B,H,W,1+K] of the cell patches; channel 0 is "no cell".
        tissue: [T,h,w,T'] of the tissue patches; None without a tissue branch.
    """

    cell: Any
    tissue: Any | None


def mean(results: Sequence[Maps]) -> Maps:
    """The mean of several engines' maps, class by class."""
    return jax.tree.map(lambda *maps: sum(maps) / len(maps), *results)


class Engine(Protocol):
    """Computes probabilities: the compiled network, an exported copy of it, or several."""

    def __call__(self, batch: Batch) -> Maps:
        """Computes class probabilities on all local devices.

        Args:
            batch: uint8 `cell_image` [B,H,W,3] and `tissue_image` [T,h,w,3], `center` [B,2],
                `cell_mpp` and `tissue_mpp` [B], and `tissue_mask` for a model that is told the
                tissue. T divides B: where it is less, B/T cell patches in a row lie in each
                tissue patch. Other fields do not matter.

        Returns:
            The maps; of what a shared tissue patch was found to be beside each of its cell
            patches, the mean.
        """
