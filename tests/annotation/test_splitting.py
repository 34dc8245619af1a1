"""Splits keep groups together, come close to the shares, and are none of them empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelot_jax.annotation import splitting
from ocelot_jax.io.errors import InputError

SHARES = (0.6, 0.2, 0.2)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(0, 5))
def test_splits(sizes, seed):
    counts = {f'patient {i}': size for i, size in enumerate(sizes)}
    splits = splitting.split(counts, SHARES, seed)
    assert splits.keys() == counts.keys()
    assert splits == splitting.split(dict(reversed(counts.items())), SHARES, seed)
    held = {name: sum(counts[g] for g in splits if splits[g] == name) for name in splitting.SPLITS}
    assert all(list(held.values())[: len(sizes)])
    if len(sizes) > 3:
        # as near as one group allows, and what keeps a split from being empty
        slack = 2 * max(sizes)
        for share, count in zip(SHARES, held.values(), strict=True):
            assert abs(count - share * sum(sizes)) <= slack


def test_equal_groups_are_split_as_asked_and_the_seed_tells_which():
    counts = dict.fromkeys('abcdefghij', 7)
    first, second = (splitting.split(counts, SHARES, seed) for seed in (0, 1))
    for splits in (first, second):
        assert sorted(splits.values()) == ['test'] * 2 + ['train'] * 6 + ['validation'] * 2
    assert first != second


def test_a_split_without_a_share_is_empty():
    splits = splitting.split(dict.fromkeys('abcd', 1), (0.75, 0.25, 0.0), 0)
    assert sorted(splits.values()) == ['train'] * 3 + ['validation']


@pytest.mark.parametrize('shares', [(0.6, 0.2, 0.1), (0, 0.5, 0.5), (1.2, -0.2, 0)])
def test_shares_that_are_none(shares):
    with pytest.raises(InputError, match='--shares'):
        splitting.check_shares(shares)
