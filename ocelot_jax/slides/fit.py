"""Whether a slide, or a set of pairs, looks like what a run was trained on."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.data import appearance
from ocelot_jax.data.appearance import Appearance, Verdict
from ocelot_jax.slides.slide import Slide
from ocelot_jax.slides.windows import Group, Layout

# Windows of a slide that are looked at: one in fifty costs 2% of the reading. They are those with
# most tissue among four times as many.
_FEWEST, _MOST, _ONE_IN, _TRIED = 9, 64, 50, 4

# What the patches are like, and what to look after.
_LIKE = {
    'magnified': (
        'magnified twice',
        'its true um/px may be half of what is taken, or it is a little out of focus',
    ),
    'shrunk': ('shrunk to half', 'its true um/px may be twice what is taken'),
    'gray': ('without color', 'want the stain and the colors of the training slides'),
    'inverted': ('with inverted colors', 'want dark tissue on a bright ground'),
    'blurred': ('blurred', 'it may be out of focus, or scanned too coarsely'),
}


@dataclasses.dataclass(frozen=True)
class Fit:
    """How far patches look like those of a run.

    Attributes:
        run: the run's name, where there are several; else empty.
        verdict: on the patches.
        known: what the run's patches look like.
    """

    run: str
    verdict: Verdict
    known: Appearance

    @property
    def doubt(self) -> str | None:
        """A sentence on why the run may be of little use here; None where the patches fit."""
        verdict = self.verdict
        if verdict.cause is None:
            return None
        start = f'{self.run}: ' if self.run else ''
        if verdict.cause == appearance.OTHER:
            return (
                f'{start}does not look like what the run was trained on, in {verdict.trait} most '
                f'of all: at {verdict.distance:.3g} times the usual distance from it, where '
                f'{self.known.far:.3g} is the limit; it may be of another stain, scanner or kind '
                'of tissue: expect little of it'
            )
        like, advice = _LIKE[verdict.cause]
        score, limit = verdict.scores[verdict.cause], self.known.limits[verdict.cause]
        return (
            f'{start}does not look like what the run was trained on, but like that {like}: '
            f'{score:.2f} on the way from 0, as in training, to 1, {like}, where {limit:.2f} is '
            f'the limit; {advice}: expect little of it'
        )

    def as_json(self) -> dict[str, Any]:
        """Gives the numbers as JSON holds them."""
        verdict = self.verdict
        return {
            'run': self.run or None,
            'fits': verdict.cause is None,
            'cause': verdict.cause,
            'differs_most_in': verdict.trait,
            'patches': verdict.patches,
            'share_outside': round(verdict.outside, 4),
            'distance': round(verdict.distance, 4),
            'distance_limit': round(self.known.far, 4),
            'scores': {name: round(score, 4) for name, score in verdict.scores.items()},
            'limits': {name: round(limit, 4) for name, limit in self.known.limits.items()},
        }


def compare(
    appearances: Mapping[str, Appearance], images: Sequence[np.ndarray]
) -> tuple[Fit, ...]:
    """Compares patches with those of each run.

    Args:
        appearances: of the runs, by name.
        images: the patches, or their middles, [h,w,3] uint8.

    Returns:
        A fit for each run; none where there is no tissue in the patches.
    """
    large = [image for image in images if min(image.shape[:2]) >= appearance.MIN_SIDE]
    if not large:
        return ()
    middles = (appearance.middle(image, appearance.SIDE) for image in large)
    described = np.stack([appearance.features(middle) for middle in middles])
    judged = {name: appearance.judge(known, described) for name, known in appearances.items()}
    return tuple(
        Fit(name if len(appearances) > 1 else '', verdict, appearances[name])
        for name, verdict in judged.items()
        if verdict is not None
    )


def compare_slide(
    appearances: Mapping[str, Appearance],
    slide: Slide,
    layout: Layout,
    groups: Sequence[Group],
    foreground: np.ndarray,
    foreground_mpp: float,
) -> tuple[Fit, ...]:
    """Compares some windows all over a slide with the patches of each run; see `compare`.

    Args:
        appearances: of the runs, by name.
        slide: the slide.
        layout: its windows.
        groups: those with tissue.
        foreground: [h,w] bool, where tissue is.
        foreground_mpp: um/px of `foreground`.

    Raises:
        InputError: the slide is damaged there.
    """
    windows = [window for group in groups for window in group.windows]
    if not appearances or not windows:
        return ()
    count = min(len(windows), max(_FEWEST, min(_MOST, len(windows) // _ONE_IN)))
    places = np.linspace(0, len(windows) - 1, min(len(windows), _TRIED * count)).round()
    spread = [layout.origin(windows[place]) for place in places.astype(int)]
    size, mpp = layout.patches.cell_size, layout.patches.cell_mpp
    side = min(size, appearance.SIDE)
    rim = (size - side) // 2
    corners = [(x + rim, y + rim) for x, y in spread]
    # the borders of tissue are rarely annotated, and look otherwise
    shares = np.array([_share(foreground, mpp / foreground_mpp, at, side) for at in corners])
    full = np.flatnonzero(shares >= np.sort(shares)[-count])
    chosen = full[np.linspace(0, len(full) - 1, count).round().astype(int)]
    held = [slide.read(x, y, side, side, mpp) for x, y in (corners[place] for place in chosen)]
    return compare(appearances, held)


def _share(mask: np.ndarray, scale: float, corner: tuple[int, int], side: int) -> float:
    """The share of a mask that is set in a square of a grid whose pixels are `scale` of its."""
    columns, rows = (
        slice(int(start * scale), max(int(start * scale) + 1, int((start + side) * scale)))
        for start in corner
    )
    inside = mask[rows, columns]
    return float(inside.mean()) if inside.size else 0.0
