"""Patches that look like those of drawn slides, and what a run keeps of them."""

import numpy as np
from drawn_slides import draw_slide, spread_cells

from ocelot_jax.data import appearance


def draw_patches(slide, count, side=64, mpp=0.5):
    """Patches of a slide with a stain and a density of cells of its own."""
    rng = np.random.default_rng([7, slide])
    patches = []
    strength, spacing = rng.uniform(0.8, 1.25), rng.uniform(5.0, 8.0)
    for _ in range(count):
        points, labels = spread_cells(1.2 * side * mpp, 1.2 * side * mpp, spacing, rng)
        # larger than the patch by the rim of glass, which is cut off
        image = draw_slide(round(1.2 * side), round(1.2 * side), mpp, points, labels, slide)
        image = appearance.middle(image, side)
        patches.append(np.rint(255 * (image / 255) ** strength).astype(np.uint8))
    return patches


def learn(slides=16, patches=4, side=64, mpp=0.5):
    """What a run would keep that was trained on slides 0, 1, ..."""
    measured = [
        appearance.measure(patch, mpp)
        for slide in range(slides)
        for patch in draw_patches(slide, patches, side, mpp)
    ]
    return appearance.learn(np.array(measured), np.arange(slides).repeat(patches))
