"""The split of TIGER, which the paper does not give: by patient, with a fixed seed."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence

from ocelot_jax.datasets.tiger import plan

from ocelot_jax.data import release
from ocelot_jax.data.patients import patient

_SEED = 2023

# OCELOT's 6 : 2 : 2, for the patients of either kind in turn. Where there are few of them, the
# beginnings see to it that three are in three splits.
_TRAIN, _VALIDATION, _TEST = release.SPLIT_FOLDERS
_PATTERNS = (
    (_TRAIN, _VALIDATION, _TEST, _TRAIN, _TRAIN),
    (_TEST, _VALIDATION, _TRAIN, _TRAIN, _TRAIN),
)


def assign_splits(regions: Sequence[plan.Region]) -> dict[str, list[plan.Region]]:
    """Divides regions among the splits, all of one patient into the same.

    TCGA's patients are divided apart from the others, so that every split has pairs of both
    kinds. The order of the regions does not matter.

    Args:
        regions: the regions from which there are pairs.

    Returns:
        The regions by split: 'train', and 'validation' and 'test' where there are patients for
        them.
    """
    patients = {patient(region.slide) for region in regions}
    tcga = {name for name in patients if name.startswith('TCGA-')}
    kinds = [kind for kind in (tcga, patients - tcga) if kind]
    split_of: dict[str, str] = {}
    for kind, pattern in zip(kinds, _PATTERNS, strict=False):
        split_of |= zip(_shuffled(kind), itertools.cycle(pattern), strict=False)
    divided = {
        split: [region for region in regions if split_of[patient(region.slide)] == split]
        for split in release.SPLIT_FOLDERS
    }
    return {split: own for split, own in divided.items() if own}


def _shuffled(patients: Iterable[str]) -> list[str]:
    """Puts patients in a random order that no version of NumPy changes."""
    return sorted(patients, key=lambda name: hashlib.sha256(f'{_SEED}/{name}'.encode()).digest())
