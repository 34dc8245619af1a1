"""A slide that never was, with tissue, cells and windows, for looking at what is written."""

import dataclasses

import numpy as np
import scipy.ndimage
import skimage.draw

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.result import Sample, SlideResult

MPP = 0.25
TISSUE_MPP = 0.8
FOREGROUND_MPP = 8.0
SIDE = 24_000  # Level-0 pixels, 6 mm.
COLORS = np.array([[214, 160, 196], [150, 90, 160]])  # Stroma, cancer.
NUCLEI = {1: (92, 70, 140), 2: (70, 38, 110)}


def smooth(rng, side, sigma):
    field = scipy.ndimage.gaussian_filter(rng.standard_normal((side, side)), sigma, mode='wrap')
    return field / field.std()


def make(seed=0, count=6000, name='synthetic slide'):
    """Draws pieces of tissue with nests of cancer, in which most cells are TC."""
    rng = np.random.default_rng(seed)
    side = round(SIDE * MPP / FOREGROUND_MPP)
    y, x = np.mgrid[:side, :side] / side
    shapes = (0.36, 0.42, 0.3, 0.34), (0.83, 0.82, 0.14, 0.13), (0.86, 0.12, 0.05, 0.05)
    distance = np.min(
        [np.hypot((x - cx) / rx, (y - cy) / ry) for cx, cy, rx, ry in shapes], axis=0
    )
    foreground = distance + 0.08 * smooth(rng, side, 18) < 1
    cancer = (smooth(rng, side, 30) > 0.2) & foreground
    rows, columns = np.nonzero(foreground)
    density = np.where(cancer, 3.0, 1.0)[rows, columns]
    picked = rng.choice(len(rows), count, p=density / density.sum())
    places = np.stack([columns[picked], rows[picked]], axis=1) + rng.random((count, 2))
    inside = cancer[rows[picked], columns[picked]]
    labels = np.where(rng.random(count) < np.where(inside, 0.9, 0.1), 2, 1)
    result = SlideResult(
        name=name,
        width=SIDE,
        height=SIDE,
        mpp=MPP,
        cell_classes=('BC', 'TC'),
        tissue_classes=('BG', 'CA'),
        cells=Cells(
            places * (FOREGROUND_MPP / MPP) - 0.5,
            labels.astype(np.int32),
            rng.uniform(0.3, 1, count).astype(np.float32),
        ),
        tissue=_tissue_map(foreground, cancer),
        tissue_mpp=TISSUE_MPP,
        foreground=foreground,
        foreground_mpp=FOREGROUND_MPP,
        thumbnail=_thumbnail(rng, foreground, cancer),
        samples=(),
    )
    corners = [(5000, 6000), (8000, 11_000), (17_000, 17_000), (11_000, 7000)]
    samples = [_sample(rng, result, *corner) for corner in corners]
    return dataclasses.replace(result, samples=tuple(samples))


def _tissue_map(foreground, cancer):
    """Enlarge to the tissue map's resolution; glass far from tissue is not predicted."""
    zoom = round(FOREGROUND_MPP / TISSUE_MPP)
    known = scipy.ndimage.binary_dilation(foreground, iterations=6)
    tissue = np.where(known, cancer, 255).astype(np.uint8)
    return tissue.repeat(zoom, 0).repeat(zoom, 1)


def _thumbnail(rng, foreground, cancer):
    noise = 6 * smooth(rng, len(foreground), 1)[..., None]
    tissue = COLORS[scipy.ndimage.binary_erosion(cancer, iterations=2).astype(int)] + noise
    return np.clip(np.where(foreground[..., None], tissue, 244), 0, 255).astype(np.uint8)


def _sample(rng, result, left, top, side=1024, mpp=0.2):
    noise = 8 * smooth(rng, side, 2)[..., None]
    image = np.clip(COLORS[0] + noise, 0, 255).astype(np.uint8)
    places = (result.cells.points + 0.5 - (left, top)) * result.mpp / mpp - 0.5
    for (x, y), label in zip(places, result.cells.labels, strict=True):
        radii = (18, 13) if label == 1 else (28, 22)
        rows, columns = skimage.draw.ellipse(
            y, x, *radii, shape=(side, side), rotation=rng.uniform(0, np.pi)
        )
        image[rows, columns] = NUCLEI[label]
    return Sample(x=left, y=top, mpp=mpp, image=image)
