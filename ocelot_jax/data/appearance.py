"""What cell patches look like in a few numbers, and whether others look like them.

Each patch is described by its optical densities, its colorfulness and how much detail it has at
four scales. What a run was trained on is a Gaussian of these numbers, and so is each thing that
often goes wrong: the same patches magnified, shrunk, without color, blurred or inverted. Between
the two lies a line along which a patch scores 0 where it is like the training patches and 1 where
it is like the changed ones: Fisher's linear discriminant (Fisher 1936, "The use of multiple
measurements in taxonomic problems"). Beyond a limit it is told of. What is far from the training
patches and like none of the changed ones is told by its Mahalanobis distance (Lee et al. 2018, "A
simple unified framework for detecting out-of-distribution samples").

Limits are learned from slides that were left out, since patches of one slide are alike.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# The middle of a patch, pixels: more costs time and tells little.
SIDE = 256
# What is smaller has no detail at the coarsest scale once it is shrunk.
MIN_SIDE = 32
BLUR_UM = 1.0
_SCALES = 4
_DETAIL = tuple(f'{2**scale} px' for scale in range(_SCALES))
FEATURES = (
    *('density of red', 'density of green', 'density of blue', 'colorfulness'),
    *(f'detail of {size}' for size in _DETAIL),
    *(f'diagonal detail of {size}' for size in _DETAIL),
)
# What often goes wrong, in the order of `measure`; `describe_cause` says it in words.
CHANGES = ('magnified', 'shrunk', 'gray', 'inverted', 'blurred')
OTHER = 'other'

# Added before logarithms: less than tissue has, more than noise.
_LITTLE_DENSITY, _LITTLE_ENERGY = 0.02, 1e-7
# Mean optical density below which a patch is glass, whose sharpness tells nothing.
_GLASS = 0.05
# Weights of pixels -2, -1, 0 and 1 a quarter of a pixel before the center of pixel 0.
_KEYS = (-3 / 128, 29 / 128, 111 / 128, -9 / 128)
# Optical density of a byte.
_DENSITIES = -np.log10(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
# So few patches or slides tell nothing of others.
_MIN_PATCHES, _MIN_SLIDES = 24, 2
_FOLDS = 10
# Beyond the highest score of a patch of a left-out slide; slides yet to come go further.
_MARGIN = 0.05
_RIDGE = 1e-3
# Of the changed patches, how many may lie this side of where a limit would be at the most.
_MISSED = 0.02
# Of the distances of patches of left-out slides: the quantile, and how far beyond is too far.
_FAR_QUANTILE, _FAR = 0.99, 3.0
# What is too far is like a changed patch where it is so many times nearer to it.
_CLEARLY = 2.0


class Gaussian(NamedTuple):
    """Mean [F] and covariance [F,F] of the features of patches."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclasses.dataclass(frozen=True)
class Appearance:
    """What patches look like.

    Attributes:
        patches: how many it was learned from.
        slides: of how many slides these are.
        own: of the patches.
        changed: of the changed patches, by `CHANGES`.
        limits: the highest scores that are let pass, by `CHANGES`.
        far: the highest distance that is let pass.
    """

    patches: int
    slides: int
    own: Gaussian
    changed: Mapping[str, Gaussian]
    limits: Mapping[str, float]
    far: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether some patches look like those that an appearance was learned from.

    Attributes:
        patches: how many with tissue were judged.
        scores: their medians by `CHANGES`: 0 as the training's, 1 as the changed ones.
        distance: the median of their distances from the training's.
        cause: of `CHANGES` or `OTHER`; None where the patches as a whole fit.
        trait: of `FEATURES`, in which they differ most.
        outside: the share of the patches that would not fit, each by itself.
    """

    patches: int
    scores: Mapping[str, float]
    distance: float
    cause: str | None
    trait: str
    outside: float


def features(image: np.ndarray) -> np.ndarray:
    """Describes a patch.

    Densities are optical, -log10 of what comes through (Ruifrok and Johnston 2001): stains add up
    in them. Detail is the energy of the Haar wavelets of their mean over the colors, along rows
    and columns and along diagonals.

    Args:
        image: [h,w,3] uint8, at least 16 pixels a side.

    Returns:
        [F] float64, see `FEATURES`; all are logarithms.
    """
    red, green, blue = colors = _densities(image)
    mean = np.array([color.mean() for color in colors])
    highest, lowest = (pick(pick(red, green), blue) for pick in (np.maximum, np.minimum))
    spread = (highest - lowest).mean()
    gray = (red + green + blue) / 3
    straight, diagonal = [], []
    for _ in range(_SCALES):
        gray, edges, corners = _halve(gray)
        straight.append(edges)
        diagonal.append(corners)
    return np.array(
        [
            *np.log(mean + _LITTLE_DENSITY),
            np.log(spread / (mean.mean() + 0.01) + 0.01),
            *np.log(np.array([*straight, *diagonal]) + _LITTLE_ENERGY),
        ],
        np.float64,
    )


def measure(image: np.ndarray, mpp: float) -> np.ndarray:
    """Describes a patch as it is, and changed in each way of `CHANGES`.

    Args:
        image: [h,w,3] uint8, at least `MIN_SIDE` a side.
        mpp: micrometres per pixel.

    Returns:
        [1+C,F] float64.
    """
    patch = middle(image, SIDE)
    changed = (
        _magnify(middle(patch, min(patch.shape[:2]) // 2)),
        _shrink(middle(image, 2 * SIDE)),
        _to_bytes(patch @ np.array([0.299, 0.587, 0.114]))[..., None].repeat(3, -1),
        255 - patch,
        _blur(patch, BLUR_UM / mpp),
    )
    return np.stack([features(each) for each in (patch, *changed)])


def middle(image: np.ndarray, side: int) -> np.ndarray:
    """Cuts out the middle [side,side,3] of a patch [h,w,3], or what it has of that."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def has_tissue(described: np.ndarray) -> np.ndarray:
    """Tells of patches whose features are [...,F] whether they are more than glass, [...] bool."""
    return (np.exp(described[..., :3]) - _LITTLE_DENSITY).mean(-1) > _GLASS


def learn(measured: np.ndarray, slides: np.ndarray) -> Appearance | None:
    """Learns what patches look like.

    Args:
        measured: [n,1+C,F], from `measure`.
        slides: [n], the slide of each.

    Returns:
        The appearance; None where there are too few patches with tissue, or too few slides.
    """
    tissue = has_tissue(measured[:, 0])
    measured, slides = measured[tissue], slides[tissue]
    names, of_slide = np.unique(slides, return_inverse=True)
    if len(slides) < _MIN_PATCHES or len(names) < _MIN_SLIDES:
        return None
    folds = of_slide % _FOLDS
    if len(slides) - np.bincount(folds).max() < 2:  # nearly all are of one slide
        return None
    scores = np.empty((len(slides), 2, len(CHANGES)))
    distances = np.empty(len(slides))
    for fold in np.unique(folds):
        out = folds == fold
        own, changed = _fit(measured[~out])
        for index, name in enumerate(CHANGES):
            line = _line(own, changed[name])
            scores[out, :, index] = _score(measured[out][:, [0, 1 + index]], line)
        distances[out] = _distance(measured[out, 0], own)
    own, changed = _fit(measured)
    highest = scores[:, 0].max(0)
    halfway = (highest + np.quantile(scores[:, 1], _MISSED, axis=0)) / 2
    limits = np.maximum(highest, halfway) + _MARGIN
    return Appearance(
        patches=len(slides),
        slides=len(names),
        own=own,
        changed=changed,
        limits=dict(zip(CHANGES, limits.tolist(), strict=True)),
        far=_FAR * float(np.quantile(distances, _FAR_QUANTILE)),
    )


def judge(appearance: Appearance, described: np.ndarray) -> Verdict | None:
    """Compares patches with those that an appearance was learned from.

    They are judged by their medians: of a slide, half of the patches may look otherwise.

    Args:
        appearance: from `learn`.
        described: [n,F], from `features` of the `middle` of each patch.

    Returns:
        The verdict; None where no patch has tissue.
    """
    described = described[has_tissue(described)]
    if not len(described):
        return None
    own, changed = appearance.own, appearance.changed
    scores = np.stack([_score(described, _line(own, changed[n])) for n in CHANGES], -1)
    distances = _distance(described, own)
    limits = np.array([appearance.limits[name] for name in CHANGES])
    outside = (scores > limits).any(-1) | (distances > appearance.far)
    typical = np.median(described, axis=0)
    score, distance = np.median(scores, axis=0), float(np.median(distances))
    beyond = [name for name, high in zip(CHANGES, score > limits, strict=True) if high]
    to_changed = {name: float(_distance(typical, changed[name])) for name in beyond or CHANGES}
    nearest = min(to_changed, key=to_changed.__getitem__)
    cause = None
    if beyond or (distance > appearance.far and to_changed[nearest] < distance / _CLEARLY):
        cause = nearest
    elif distance > appearance.far:
        cause = OTHER
    away = np.abs(typical - own.mean) / np.sqrt(np.diag(own.covariance))
    return Verdict(
        patches=len(described),
        scores=dict(zip(CHANGES, score.tolist(), strict=True)),
        distance=distance,
        cause=cause,
        trait=FEATURES[int(away.argmax())],
        outside=float(outside.mean()),
    )


def _densities(image: np.ndarray) -> np.ndarray:
    """[h,w,3] uint8 to [3,h,w], a color after the other: several times faster to work with."""
    return _DENSITIES[np.moveaxis(image, -1, 0)]


def _halve(gray: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Means of 2 x 2 pixels, and the mean energies of their straight and diagonal details."""
    height, width = (length // 2 * 2 for length in gray.shape)
    rows = gray[:height:2, :width], gray[1:height:2, :width]
    sums, differences = rows[0] + rows[1], rows[0] - rows[1]
    across = sums[:, ::2] - sums[:, 1::2]
    down = differences[:, ::2] + differences[:, 1::2]
    corners = differences[:, ::2] - differences[:, 1::2]
    straight = (np.square(across).mean() + np.square(down).mean()) / 32
    return (sums[:, ::2] + sums[:, 1::2]) / 4, straight, np.square(corners).mean() / 16


def _magnify(image: np.ndarray) -> np.ndarray:
    """[h,w,3] to [2h,2w,3], bicubically, as slides are read (Keys 1981)."""
    values = image.astype(np.float32)
    for axis in (0, 1):
        length = values.shape[axis]
        padded = np.pad(values, [(2 * (a == axis),) * 2 for a in range(3)], mode='edge')
        near = [padded.take(range(start, start + length), axis) for start in range(5)]
        before = sum(weight * each for weight, each in zip(_KEYS, near, strict=False))
        after = sum(weight * each for weight, each in zip(_KEYS[::-1], near[1:], strict=True))
        values = np.stack([before, after], axis + 1)
        values = values.reshape(*padded.shape[:axis], 2 * length, *padded.shape[axis + 1 :])
    return _to_bytes(values)


def _shrink(image: np.ndarray) -> np.ndarray:
    """[h,w,3] to [h/2,w/2,3], by means."""
    height, width = (length // 2 for length in image.shape[:2])
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return _to_bytes(blocks.mean((1, 3)))


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    import scipy.ndimage  # takes part of a second, and every run's configuration is read here

    values = image.astype(np.float32)
    return _to_bytes(scipy.ndimage.gaussian_filter(values, (sigma, sigma, 0), mode='nearest'))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _fit(measured: np.ndarray) -> tuple[Gaussian, dict[str, Gaussian]]:
    gaussians = []
    for each in measured.swapaxes(0, 1):
        covariance = np.cov(each.T)
        # a floor, for features that are all alike, as the colorfulness of what has no color
        ridge = np.diag(_RIDGE * np.diag(covariance) + 1e-6)
        gaussians.append(Gaussian(each.mean(0), covariance + ridge))
    return gaussians[0], dict(zip(CHANGES, gaussians[1:], strict=True))


def _line(own: Gaussian, changed: Gaussian) -> tuple[np.ndarray, float]:
    """The weights [F] and the offset by which `_score` is 0 at one mean and 1 at the other."""
    step = changed.mean - own.mean
    weights = np.linalg.solve((own.covariance + changed.covariance) / 2, step)
    weights = weights / (weights @ step)
    return weights, float(own.mean @ weights)


def _score(described: np.ndarray, line: tuple[np.ndarray, float]) -> np.ndarray:
    return described @ line[0] - line[1]


def _distance(described: np.ndarray, gaussian: Gaussian) -> np.ndarray:
    """Mahalanobis distance by feature: about 1 within a Gaussian, however many features."""
    away = described - gaussian.mean
    solved = np.linalg.solve(gaussian.covariance, away.T).T
    return np.sqrt((away * solved).mean(-1))
