"""The paper's own scores (Tables 5, 6, 7, C.1, D.1), in percent, with their 95% intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from ocelot_jax.metrics.intervals import Estimate

# As the release names them, in the order of Table 6, with the number of the paper's test pairs.
ORGANS = {
    'kidney': 41,
    'endometrium': 25,
    'bladder': 26,
    'prostate': 16,
    'stomach': 12,
    'head-and-neck': 10,
}
POPULATION = 'population'
DATA_SETS = ('OCELOT', 'TIGER', 'CARP')
NOTES = {
    '7': 'The test score of Cell-only is 64.45 in Tables 7 and D.1 and 64.44 in Tables 5, 6 and '
    'C.1, as printed in the paper.',
    'D.1': 'Two of the rows learn no tissue classes: N/A.',
}


class Key(NamedTuple):
    """What a score is of.

    Attributes:
        table: of the paper: '5', '6', '7', 'C.1' or 'D.1'.
        experiment: as `experiments.experiment_of` names it.
        data: the data set.
        split: 'validation' or 'test'.
        subset: 'population', or an organ.
        metric: 'mF1' or 'mIoU'.
    """

    table: str
    experiment: str
    data: str
    split: str
    subset: str = POPULATION
    metric: str = 'mF1'


_TABLE_5 = """
Cell-only             68.87±1.76 64.44±1.82 63.89±1.39 53.82±1.23 78.48±0.69 70.96±1.47
Pred-to-input         73.36±0.59 69.65±3.93 66.00±2.00 53.29±1.30 79.46±0.79 72.98±0.82
Pred-to-inter-1       72.74±0.50 70.54±2.20 66.19±1.02 55.87±1.78 79.74±0.80 73.05±0.69
Pred-to-inter-2       72.68±1.58 71.23±0.96 65.43±1.14 54.75±2.25 79.87±0.78 73.14±1.53
Pred-to-output        66.85±5.62 65.05±3.72 63.02±0.16 53.32±0.42 78.92±0.60 72.61±0.95
Feature-sharing       72.30±0.73 68.91±2.52 65.64±1.07 55.10±2.18 79.38±0.74 73.00±0.33
Tissue-label leaking  76.56±0.80 74.20±0.91 69.71±0.61 61.66±1.16 80.13±1.04 72.97±0.49
"""

_TABLE_6 = """
Cell-only             64.44±1.82 64.12±3.41 66.88±3.71 59.42±5.61 65.46±1.64 66.19±8.93 59.24±5.04
Pred-to-input         69.65±3.93 63.37±3.27 73.31±6.35 63.61±4.55 68.36±8.61 69.34±7.15 75.28±0.82
Pred-to-inter-1       70.54±2.20 66.62±7.30 73.05±4.14 64.35±3.59 70.20±2.56 71.55±5.21 74.50±1.52
Pred-to-inter-2       71.23±0.96 68.94±5.65 75.15±2.70 64.94±2.34 68.35±8.83 70.29±0.81 73.74±1.72
Pred-to-output        65.05±3.72 63.38±4.48 68.21±4.11 59.81±3.96 64.18±8.41 67.51±6.39 60.88±6.77
Feature-sharing       68.91±2.52 64.97±5.33 71.28±5.30 63.21±5.31 66.25±9.52 69.79±2.25 73.88±4.39
Tissue-label leaking  74.20±0.91 75.75±1.97 72.71±1.12 71.18±0.93 74.56±1.25 75.24±1.71 75.78±0.46
"""

_TABLE_7 = """
Cell-only                           68.87±1.76 64.45±1.82
Pred-to-inter-2, tissue label only  70.21±1.49 64.99±1.77
Pred-to-inter-2, large FoV only     68.78±0.94 65.56±3.66
Pred-to-inter-2                     72.68±1.58 71.23±0.96
"""

_TABLE_D_1 = """
Cell-only                           68.87±1.76 64.45±1.82
Feature-sharing, tissue label only  70.36±1.34 66.58±2.02
Feature-sharing, large FoV only     69.61±1.59 66.22±1.53
Feature-sharing                     72.30±0.73 68.91±2.52
"""

_TABLE_D_1_TISSUE = """
Feature-sharing, tissue label only  75.27±3.10 73.75±3.74
Feature-sharing                     77.48±1.96 81.97±1.75
"""

_TABLE_C_1 = """
Cell-only         68.87±1.76 64.44±1.82
Cell-only, U-Net  67.75±1.42 63.46±4.59
MFoVCE-Net        69.14±0.52 67.12±1.96
Pred-to-inter-2   72.68±1.58 71.23±0.96
"""

_OCELOT = [('OCELOT', 'validation'), ('OCELOT', 'test')]
_ALL = [(data, split) for data in DATA_SETS for split in ('validation', 'test')]
_ORGANS = [('OCELOT', 'test', subset) for subset in (POPULATION, *ORGANS)]


def _scores(
    table: str, columns: Sequence[tuple[str, ...]], text: str, metric: str = 'mF1'
) -> dict[Key, Estimate]:
    """Gives keys to lines of a name and, two spaces apart, a score for each column."""
    found = {}
    for line in text.strip().splitlines():
        name, numbers = line.split('  ', 1)
        for column, number in zip(columns, numbers.split(), strict=True):
            mean, half_width = map(float, number.split('±'))
            key = Key(table, name, *column)._replace(metric=metric)
            found[key] = Estimate(mean / 100, half_width / 100)
    return found


# Fractions, as our own scores are.
SCORES: dict[Key, Estimate] = {
    **_scores('5', _ALL, _TABLE_5),
    **_scores('6', _ORGANS, _TABLE_6),
    **_scores('7', _OCELOT, _TABLE_7),
    **_scores('7', _OCELOT, _TABLE_D_1),
    **_scores('C.1', _OCELOT, _TABLE_C_1),
    **_scores('D.1', _OCELOT, _TABLE_D_1),
    **_scores('D.1', _OCELOT, _TABLE_D_1_TISSUE, 'mIoU'),
}


def overall(experiment: str, data: str, split: str) -> Estimate | None:
    """The mF1 of Table 5, or of Table C.1 for what stands there alone; None where neither has it.

    Args:
        experiment: as `experiments.experiment_of` names it.
        data: the data set.
        split: 'validation' or 'test'.
    """
    of = {'experiment': experiment, 'data': data, 'split': split}
    return SCORES.get(Key('5', **of), SCORES.get(Key('C.1', **of)))
