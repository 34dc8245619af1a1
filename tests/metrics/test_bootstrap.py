"""The paired bootstrap, beside loops that draw one slide and one patch at a time."""

import numpy as np
import pytest

from ocelot_jax.metrics import bootstrap, matching
from ocelot_jax.metrics.bootstrap import Fold

RESAMPLES = 2000


def make_counts(rng, slides, quality, extra=0):
    """Counts [N, 3, 2] of a model that finds `quality` of the cells."""
    true = rng.integers(3, 15, (len(slides), 2))
    tp = rng.binomial(true, quality)
    fp = rng.poisson(true * (1 - quality)) + extra
    return np.stack([tp, fp, true], axis=1)


def compare(first, second, slides, rng, resamples):
    """Two models of one seed each, without folds."""
    [found] = bootstrap.compare(
        [Fold(slides, [first[None], second[None]])], [(0, 1)], rng, resamples
    )
    return found


def draw(counts, slides, rng, resamples):
    """Totals of each resample of one model of one seed."""
    return bootstrap.resample([Fold(slides, [counts[None]])], rng, resamples)[:, 0]


def draw_by_loops(counts, slides, rng, resamples):
    """Totals of each resample, as the definition says it."""
    names = sorted(set(slides))
    totals = []
    for _ in range(resamples):
        total = np.zeros(counts.shape[1:])
        for slide in rng.choice(names, len(names)):
            patches = np.flatnonzero(slides == slide)
            for patch in rng.choice(patches, len(patches)):
                total = total + counts[patch]
        totals.append(total)
    return np.array(totals)


@pytest.fixture(scope='module')
def slides():
    return np.array(list('aabbbbcddeeefffffg'))


def test_scores_are_the_official_ones(slides):
    rng = np.random.default_rng(0)
    counts = make_counts(rng, slides, 0.7)
    totals = np.stack([counts.sum(axis=0), 2 * counts[:3].sum(axis=0), np.zeros((3, 2))])
    for row, total in zip(bootstrap.scores(totals), totals, strict=True):
        official = matching.f1_scores(matching.Counts(*total), ('BC', 'TC'))
        assert row == pytest.approx([official['mF1'], official['F1/BC'], official['F1/TC']])


def test_resamples_are_distributed_as_those_of_loops(slides):
    rng = np.random.default_rng(1)
    # one column for each patch, so that the draws themselves are seen
    identity = np.eye(len(slides))
    ours = draw(identity[:, None], slides, rng, RESAMPLES)[:, 0]
    loops = draw_by_loops(identity, slides, rng, RESAMPLES)
    assert ours.shape == loops.shape
    assert (ours == ours.round()).all()
    # of means and (co)variances of 2000 draws, which are of order one
    assert np.abs(ours.mean(axis=0) - loops.mean(axis=0)).max() < 0.2
    assert np.abs(np.cov(ours.T) - np.cov(loops.T)).max() < 0.6
    assert ours.mean(axis=0) == pytest.approx(np.ones(len(slides)), abs=0.2)


def test_a_slide_gives_as_many_patches_as_it_has_each_time_it_is_drawn(slides):
    identity = np.eye(len(slides))[:, None]
    drawn = draw(identity, slides, np.random.default_rng(2), 500)[:, 0]
    times = []
    for name in np.unique(slides):
        of_slide = drawn[:, slides == name].sum(axis=1)
        assert (of_slide % np.sum(slides == name) == 0).all()
        times.append(of_slide / np.sum(slides == name))
    assert (np.sum(times, axis=0) == len(times)).all()


def test_patches_that_are_all_alike_do_not_vary():
    counts = np.tile([[[5, 2], [1, 1], [7, 4]]], (6, 1, 1))
    totals = draw(counts, np.repeat(['a', 'b'], 3), np.random.default_rng(0), 50)
    assert (totals == 6 * counts[0]).all()


def test_the_interval_is_that_of_loops(slides):
    rng = np.random.default_rng(3)
    first, second = make_counts(rng, slides, 0.75), make_counts(rng, slides, 0.65)
    found = compare(first, second, slides, np.random.default_rng(4), RESAMPLES)[0]
    totals = draw_by_loops(np.stack([first, second], 1), slides, rng, RESAMPLES)
    draws = []
    for total in totals:
        scores = [matching.f1_scores(matching.Counts(*side), ('a', 'b'))['mF1'] for side in total]
        draws.append(scores[0] - scores[1])
    whole = [
        matching.f1_scores(matching.Counts(*side.sum(axis=0)), ('a', 'b'))['mF1']
        for side in (first, second)
    ]
    assert found.value == pytest.approx(whole[0] - whole[1])
    spread = np.std(draws)
    assert [found.low, found.high] == pytest.approx(
        np.quantile(draws, [0.025, 0.975]), abs=0.25 * spread
    )
    p = 2 * min(np.mean(np.array(draws) <= 0), np.mean(np.array(draws) >= 0))
    assert found.p == pytest.approx(p, abs=0.05)


def test_a_run_does_not_differ_from_itself(slides):
    counts = make_counts(np.random.default_rng(5), slides, 0.7)
    for found in compare(counts, counts, slides, np.random.default_rng(0), 200):
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
        assert not found.is_clear


def test_what_is_worse_on_every_patch_is_clearly_worse(slides):
    good = make_counts(np.random.default_rng(6), slides, 0.8)
    bad = good + np.array([0, 2, 0])[:, None]
    better = compare(good, bad, slides, np.random.default_rng(0), RESAMPLES)
    worse = compare(bad, good, slides, np.random.default_rng(0), RESAMPLES)
    for up, down in zip(better, worse, strict=True):
        assert 0 < up.low <= up.value <= up.high
        assert up.is_clear
        assert down.is_clear
        # no draw lies on the other side of zero; seven coins fall alike once in 64 times
        assert up.p == down.p == 1 / 64
        assert [down.value, down.low, down.high] == pytest.approx([-up.value, -up.high, -up.low])


@pytest.mark.parametrize(('slides', 'is_clear'), [(1, False), (5, False), (6, True), (12, True)])
def test_few_slides_that_agree_say_nothing(slides, is_clear):
    good = np.tile([[8], [2], [10]], (slides, 1, 1))
    bad = good - np.array([[4], [0], [0]])
    rng = np.random.default_rng(0)
    found = compare(good, bad, np.array([f'{k}' for k in range(slides)]), rng, RESAMPLES)[0]
    assert found.low > 0
    assert found.is_clear == is_clear
    assert found.p == max(0.5 ** (slides - 1), 2 / (RESAMPLES + 1))


def test_one_slide_that_decides_all_is_not_trusted():
    """Many patches of one slide are no evidence about other slides."""
    slides = np.array(['a'] * 50 + ['b'] * 50)
    counts = np.tile([[8], [2], [10]], (100, 1, 1)).astype(int)
    other = counts.copy()
    other[:50, 1] += 3
    other[50:, 1] -= 2
    found = compare(counts, other, slides, np.random.default_rng(0), RESAMPLES)[0]
    assert found.value > 0
    assert found.low < 0 < found.high
    assert found.p > 0.2


def test_the_same_seed_gives_the_same_draws(slides):
    rng = np.random.default_rng(7)
    sides = make_counts(rng, slides, 0.7), make_counts(rng, slides, 0.72)
    once, again, other = (
        compare(*sides, slides, np.random.default_rng(seed), 300) for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


def by_fold(slides, *models):
    """Two folds of models whose counts are [n, N, 3, K]; of some slides both have patches."""
    fold_of = np.arange(len(slides)) // 3 % 2
    return [
        Fold(slides[fold_of == fold], [counts[:, fold_of == fold] for counts in models])
        for fold in (0, 1)
    ]


def test_folds_are_drawn_together_and_seeds_that_agree_change_nothing(slides):
    rng = np.random.default_rng(8)
    first, second = make_counts(rng, slides, 0.75), make_counts(rng, slides, 0.65)
    alone = compare(first, second, slides, np.random.default_rng(9), 300)
    # a number of seeds of its own for each
    folds = by_fold(slides, np.stack([first] * 3), np.stack([second] * 2))
    [agreeing] = bootstrap.compare(folds, [(0, 1)], np.random.default_rng(9), 300)
    for one, other in zip(alone, agreeing, strict=True):
        assert [*vars(other).values()] == pytest.approx([*vars(one).values()])


@pytest.mark.parametrize('seeds', [2, 3, 5])
def test_draws_of_seeds_vary_as_means_of_so_many_do(seeds):
    """One patch, so that nothing else varies: the variance of a mean is that of its seeds / n."""
    counts = np.random.default_rng(seeds).integers(0, 50, (seeds, 1, 3, 2)).astype(float)
    fold = Fold(np.array(['a']), [counts, counts])
    drawn = bootstrap.resample([fold], np.random.default_rng(0), 20_000)
    wanted = counts.var(axis=0, ddof=1)[0] / seeds
    for model in (0, 1):
        assert drawn[:, model].mean(axis=0) == pytest.approx(counts.mean(axis=0)[0], rel=0.03)
        assert drawn[:, model].var(axis=0) == pytest.approx(wanted, rel=0.05)
    # by themselves for each model
    assert abs(np.corrcoef(drawn[:, 0, 0, 0], drawn[:, 1, 0, 0])[0, 1]) < 0.03


def simulate(rng, folds=5, seeds=3, slides=5, patches=3):
    """Two equal models: what differs is a fold's and seed's chance, and that of the patches."""
    drawn = []
    for fold in range(folds):
        names = np.repeat([f'{fold}-{slide}' for slide in range(slides)], patches)
        hard = np.repeat(rng.normal(0, 0.05, slides), patches)
        true = rng.integers(30, 60, (len(names), 2))
        models = []
        for _ in range(2):
            quality = (0.7 + hard + rng.normal(0, 0.06, (seeds, 1)))[..., None].clip(0.1, 0.95)
            tp = rng.binomial(true, quality, (seeds, *true.shape))
            fp = rng.poisson(true * (1 - quality))
            models.append(np.stack([tp, fp, np.broadcast_to(true, tp.shape)], axis=2))
        drawn.append(Fold(names, models))
    return drawn


def test_intervals_hold_the_truth_as_often_as_they_say_where_seeds_vary():
    rng = np.random.default_rng(10)
    held = {'seeds drawn': 0, 'seeds averaged': 0}
    rounds = 80
    for _ in range(rounds):
        folds = simulate(rng)
        averaged = [
            Fold(fold.slides, [counts.mean(axis=0)[None] for counts in fold.counts])
            for fold in folds
        ]
        for name, of in zip(held, (folds, averaged), strict=True):
            [[found, *_]] = bootstrap.compare(of, [(0, 1)], rng, 200)
            held[name] += found.low <= 0 <= found.high
    assert 0.9 * rounds < held['seeds drawn']
    assert held['seeds averaged'] < 0.75 * rounds
