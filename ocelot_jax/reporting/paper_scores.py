"""The paper's own scores (Tables 5, 6, 7, C.1, D.1), in percent, with their 95% intervals."""

from collections.abc import Iterator
from typing import NamedTuple

from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import experiments
from ocelot_jax.reporting.experiments import FOV_ONLY, LABEL_ONLY, limited

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

_TABLE_7_INTER_2 = {
    experiments.CELL_ONLY: '68.87±1.76 64.45±1.82',
    limited(experiments.PRED_INTER_2, LABEL_ONLY): '70.21±1.49 64.99±1.77',
    limited(experiments.PRED_INTER_2, FOV_ONLY): '68.78±0.94 65.56±3.66',
    experiments.PRED_INTER_2: '72.68±1.58 71.23±0.96',
}

_TABLE_7_SHARING = {
    experiments.CELL_ONLY: '68.87±1.76 64.45±1.82',
    limited(experiments.FEATURE_SHARING, LABEL_ONLY): '70.36±1.34 66.58±2.02',
    limited(experiments.FEATURE_SHARING, FOV_ONLY): '69.61±1.59 66.22±1.53',
    experiments.FEATURE_SHARING: '72.30±0.73 68.91±2.52',
}

_TABLE_C_1 = {
    experiments.CELL_ONLY: '68.87±1.76 64.44±1.82',
    experiments.UNET: '67.75±1.42 63.46±4.59',
    experiments.MFOVCE: '69.14±0.52 67.12±1.96',
    experiments.PRED_INTER_2: '72.68±1.58 71.23±0.96',
}

_TABLE_D_1_TISSUE = {
    limited(experiments.FEATURE_SHARING, LABEL_ONLY): '75.27±3.10 73.75±3.74',
    experiments.FEATURE_SHARING: '77.48±1.96 81.97±1.75',
}


def _lines(text: str) -> dict[str, str]:
    """Splits lines of a name and scores, two spaces apart."""
    lines = (line.split('  ', 1) for line in text.strip().splitlines())
    return {name: numbers.strip() for name, numbers in lines}


def _numbers(text: str) -> Iterator[Estimate]:
    for number in text.split():
        mean, half_width = map(float, number.split('±'))
        yield Estimate(mean / 100, half_width / 100)


def _by_split(
    table: str, rows: dict[str, str], metric: str = 'mF1', data_sets: tuple[str, ...] = ('OCELOT',)
) -> dict[Key, Estimate]:
    columns = [(data, split) for data in data_sets for split in ('validation', 'test')]
    return {
        Key(table, name, *column, metric=metric): number
        for name, text in rows.items()
        for column, number in zip(columns, _numbers(text), strict=True)
    }


def _by_organ(rows: dict[str, str]) -> dict[Key, Estimate]:
    return {
        Key('6', name, 'OCELOT', 'test', organ): number
        for name, text in rows.items()
        for organ, number in zip((POPULATION, *ORGANS), _numbers(text), strict=True)
    }


# Fractions, as our own scores are.
SCORES: dict[Key, Estimate] = {
    **_by_split('5', _lines(_TABLE_5), data_sets=DATA_SETS),
    **_by_organ(_lines(_TABLE_6)),
    **_by_split('7', _TABLE_7_INTER_2),
    **_by_split('7', _TABLE_7_SHARING),
    **_by_split('C.1', _TABLE_C_1),
    **_by_split('D.1', _TABLE_7_SHARING),
    **_by_split('D.1', _TABLE_D_1_TISSUE, 'mIoU'),
}


def overall(experiment: str, data: str, split: str) -> Estimate | None:
    """The mF1 of Table 5, or of Table C.1 for what stands there alone.

    Args:
        experiment: as `experiments.experiment_of` names it.
        data: the data set.
        split: 'validation' or 'test'.

    Returns:
        Mean and interval; None where neither table has it.
    """
    of = {'experiment': experiment, 'data': data, 'split': split}
    return SCORES.get(Key('5', **of), SCORES.get(Key('C.1', **of)))
