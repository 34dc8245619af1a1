"""Cuts pairs from slides."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.annotation import areas, planning
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.surveying import Survey
from ocelot_jax.annotation.writing import Pair
from ocelot_jax.data.release import UNKNOWN
from ocelot_jax.slides import windows
from ocelot_jax.slides.slide import Slide


@dataclasses.dataclass(frozen=True)
class Job:
    """A pair to cut.

    Attributes:
        pair_id: names its files.
        split: 'train', 'validation' or 'test'.
        survey: its slide.
        index: which of the slide's pairs it is.
    """

    pair_id: str
    split: str
    survey: Survey
    index: int

    @property
    def place(self) -> planning.Place:
        """Where it lies."""
        return self.survey.places[self.index]

    @property
    def rows(self) -> np.ndarray:
        """Which of the slide's annotated cells it has."""
        return self.survey.rows[self.index]


# A job, its pair, and how many pixels of tissue are unknown where areas of two classes overlap.
Cut = tuple[Job, Pair, int]


def cut_all(jobs: Sequence[Job], choices: Choices) -> Iterator[Cut]:
    """Cuts pairs, one at a time.

    Args:
        jobs: those of one slide next to each other.
        choices: how pairs are made.

    Yields:
        What is cut for each job.

    Raises:
        InputError: a slide is damaged.
    """
    # in one thread, for prepared geometries crash in several
    for _, group in itertools.groupby(jobs, lambda job: job.survey.name):
        held = list(group)
        one = held[0].survey
        tissue = areas.AreaMap(one.tissue, one.values, choices.patches.tissue_mpp)
        with Slide(one.path, one.mpp, one.name, override_mpp=True) as slide:
            for job in held:
                yield job, *_cut(slide, tissue, job, choices)


def _cut(slide: Slide, tissue: areas.AreaMap, job: Job, choices: Choices) -> tuple[Pair, int]:
    patches, survey = choices.patches, job.survey
    x, y = (start * patches.tissue_mpp for start in job.place.tissue)
    mask, ambiguous = tissue.mask((x, y), patches.tissue_size)
    read = lambda corner, size, mpp: slide.read(corner[0], corner[1], size, size, mpp)
    pair = Pair(
        pair_id=job.pair_id,
        split=job.split,
        cell_image=read(job.place.cell, patches.cell_size, patches.cell_mpp),
        tissue_image=read(job.place.tissue, patches.tissue_size, patches.tissue_mpp),
        tissue_mask=np.where(_on_slide(slide, job.place, choices), mask, np.uint8(UNKNOWN)),
        points=planning.in_patch(survey.annotations.points[job.rows], job.place, patches),
        labels=survey.labels[job.rows],
    )
    return pair, ambiguous


def _on_slide(slide: Slide, place: planning.Place, choices: Choices) -> np.ndarray:
    """[h,w] bool: which pixels of a tissue patch show the slide and not what is beyond it."""
    patches = choices.patches
    axes = []
    for start, length in zip(place.tissue, (slide.width, slide.height), strict=True):
        pixels = start + np.arange(patches.tissue_size)
        end = windows.grid_length(length, slide.mpp, patches.tissue_mpp)
        axes.append((pixels >= 0) & (pixels < end))
    return axes[1][:, None] & axes[0]


def origins(job: Job, pair: Pair) -> list[dict[str, Any]]:
    """Where each cell of a pair comes from, in the pair's order; see `writing.ORIGIN_COLUMNS`."""
    survey = job.survey
    whole = survey.annotations.points[job.rows] / survey.mpp - 0.5
    # adding 0 turns -0.00 into 0.00
    places = np.concatenate([whole.round(2) + 0.0, pair.points], -1)
    return [
        {
            'pair': pair.pair_id,
            'slide': survey.name,
            'id': survey.annotations.ids[row],
            'class': survey.annotations.names[row],
            **_as_text(('x_px', 'y_px', 'x', 'y'), place),
        }
        for row, place in zip(job.rows, places.tolist(), strict=True)
    ]


def _as_text(names: Sequence[str], values: Sequence[float]) -> Mapping[str, str]:
    return {name: f'{value:.2f}' for name, value in zip(names, values, strict=True)}
