"""Splits of pairs that keep what belongs together in one of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from ocelot_jax.data.release import SPLIT_FOLDERS
from ocelot_jax.io.errors import InputError

SPLITS = tuple(SPLIT_FOLDERS)
# Orders that are tried; the one that comes closest to the shares counts.
_ORDERS = 32


def check_shares(shares: Sequence[float]) -> None:
    """Refuses shares of train, validation and test that are none.

    Raises:
        InputError: one is below 0, train's is 0, or they do not add up to 1.
    """
    if min(shares) < 0 or not shares[0] > 0 or not abs(sum(shares) - 1) < 1e-6:
        given = ','.join(f'{share:g}' for share in shares)
        raise InputError(
            f'--shares: {given}; want shares of train, validation and test that add up to 1, as '
            'in 0.6,0.2,0.2, with some for train'
        )


def split(counts: Mapping[str, int], shares: Sequence[float], seed: int) -> dict[str, str]:
    """Splits groups of pairs so that shares of pairs come close; none lies in two splits.

    No split that has a share is empty, unless there are fewer groups than such splits: then the
    last ones are. The same arguments give the same splits.

    Args:
        counts: how many pairs each group has, one or more.
        shares: of train, validation and test.
        seed: of what is drawn.

    Returns:
        'train', 'validation' or 'test' by group.
    """
    wanted = [name for name, share in zip(SPLITS, shares, strict=True) if share > 0]
    targets = {name: sum(counts.values()) * shares[SPLITS.index(name)] for name in wanted}
    targets = dict(list(targets.items())[: len(counts)])
    rng, names = np.random.default_rng(seed), sorted(counts)
    best, least = {}, np.inf
    for _ in range(_ORDERS):
        order = [names[index] for index in rng.permutation(len(names))]
        left, empty, chosen = dict(targets), set(targets), {}
        for rank, group in enumerate(order):
            open_to = [name for name in targets if name in empty or len(empty) < len(order) - rank]
            chosen[group] = max(open_to, key=left.__getitem__)
            left[chosen[group]] -= counts[group]
            empty.discard(chosen[group])
        error = sum(map(abs, left.values()))
        if error < least:
            best, least = chosen, error
    return best
