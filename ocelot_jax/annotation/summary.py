"""What was made of annotated slides, in words and numbers."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.writing import Pair
from ocelot_jax.data.release import UNKNOWN
from ocelot_jax.io import text_table


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts of a split.

    Attributes:
        slides: their names.
        pairs: how many.
        cells: [K] how many, of the labels 1, 2, ...
        pixels: [T+1] of the tissue patches, of the values 1, 2, ... on disk, then unknown ones.
    """

    slides: frozenset[str]
    pairs: int
    cells: np.ndarray
    pixels: np.ndarray

    @classmethod
    def none(cls, choices: Choices) -> Self:
        """Those of a split without pairs."""
        cells, tissue = len(choices.cell_classes.names), len(choices.tissue_classes.names)
        return cls(frozenset(), 0, np.zeros(cells, np.int64), np.zeros(tissue + 1, np.int64))

    def plus(self, slide: str, pair: Pair) -> Self:
        """Those with one more pair."""
        cells = np.bincount(pair.labels, minlength=len(self.cells) + 1)[1:]
        pixels = np.bincount(pair.tissue_mask.ravel(), minlength=UNKNOWN + 1)
        known = pixels[1 : len(self.pixels)]
        return dataclasses.replace(
            self,
            slides=self.slides | {slide},
            pairs=self.pairs + 1,
            cells=self.cells + cells,
            pixels=self.pixels + np.append(known, pixels[UNKNOWN]),
        )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was made.

    Attributes:
        counts: by split.
        left_out: how many objects are in no pair, by the reason.
        not_used: names of slides and files that gave no pair, by the reason.
        warnings: sentences.
    """

    counts: Mapping[str, Counts]
    left_out: Mapping[str, int]
    not_used: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def render(self, output: Path, picture: Path, choices: Choices) -> str:
        """The counts as a table, what was left out, and what to do next, for a terminal."""
        cells, tissue = choices.cell_classes.names, choices.tissue_classes.names
        head = ['', 'slides', 'pairs', *cells, *(f'{name} tissue' for name in tissue), 'unknown']
        rows = [head, *([split, *_row(counts)] for split, counts in self.counts.items())]
        parts = [text_table.align(rows)]
        left = [[str(count), reason] for reason, count in self.left_out.items()]
        left += [
            [str(len(names)), f'{reason}: {", ".join(names[:5])}{", ..." * (len(names) > 5)}']
            for reason, names in self.not_used.items()
            if names
        ]
        if left:
            width = max(len(count) for count, _ in left)
            lines = [f'  {count:>{width}}  {reason}' for count, reason in left]
            parts.append('\n'.join(['left out:', *lines]))
        parts.append(f'look at {picture} before you train; then')
        parts.append('\n'.join(f'  {line}' for line in self._commands(output, choices)))
        return '\n\n'.join(parts)

    def _commands(self, output: Path, choices: Choices) -> list[str]:
        cells, tissue = choices.cell_classes.names, choices.tissue_classes.names
        is_known = any(counts.pixels[:-1].any() for counts in self.counts.values())
        config = _configuration('pred_inter2' if is_known else 'cell_only', choices)
        return [
            _command(
                'statistics',
                dataset=output,
                cell_classes=','.join(cells),
                tissue_classes=','.join(tissue),
            ),
            _command(
                'main',
                **{
                    'config': config,
                    'config.data.source': output,
                    'config.data.cell_classes': cells,
                    'config.data.tissue_classes': tissue,
                },
            ),
        ]


def _command(name: str, **flags: Any) -> str:
    """A command as a shell takes it, whatever classes and folders are called."""
    quoted = (f'--{flag}={shlex.quote(str(value))}' for flag, value in flags.items())
    return ' '.join([f'python -m ocelot_jax.{name}', *quoted])


def _configuration(model: str, choices: Choices) -> str:
    """The one that trains a model on patches of that size."""
    if choices.patches.cell_size <= 128:
        return f'configs/crc.py:{model}'
    if choices.patches.cell_size <= 256:
        return f'configs/consep.py:{model}'
    return f'configs/{model}.py'


def _row(counts: Counts) -> list[str]:
    total = max(1, counts.pixels.sum())
    shares = [f'{100 * count / total:.1f}%' if counts.pairs else '' for count in counts.pixels]
    return [str(len(counts.slides)), str(counts.pairs), *map(str, counts.cells), *shares]
