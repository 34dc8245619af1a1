"""Pairs drawn to look like PD-L1 immunohistochemistry, in OCELOT's layout.

Scenes are those of `ocelot_synthetic`, stained otherwise: blue nuclei (hematoxylin) and brown
membranes (DAB) around the tumor cells that are positive. Only tumor cells are annotated.
"""

import json

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import (
    cells,
    cytoplasm,
    draw,
    noise,
    nuclei,
    stain,
    tissue,
    windows,
)
from PIL import Image

NEGATIVE, POSITIVE = 1, 2
# Ruifrok and Johnston 2001.
DYES = np.array([[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]], np.float32)
RING, WIDTH = 1.6, 0.7  # um: the membrane's distance from the nucleus, and its width


def draw_pair(geometry, split, index, seed=0, positive_share=0.5):
    """Draws a pair: images, mask, center and cells (x, y, label)."""
    scene = draw.draw_scene(geometry, seed, split, index, 0.3)
    rng = noise.generator(seed, index, draw.split_number(split), 77)
    tumor = scene.cells.label == cells.TUMOR_CELL
    positive = tumor & (rng.random(len(tumor)) < positive_share)
    labels = np.where(positive, POSITIVE, np.where(tumor, NEGATIVE, 0))

    near = tissue.grid(*scene.corner, geometry.size, geometry.cell_mpp)
    far = tissue.grid(0, 0, 2 * geometry.size, geometry.tissue_mpp / 2)
    cell_dyes = dyes(scene, positive, near)
    tissue_dyes = [
        amount.reshape(geometry.size, 2, geometry.size, 2).mean((1, 3))
        for amount in dyes(scene, positive, far)
    ]
    look = stain.Stain(DYES, np.array([245, 243, 240], np.float32), noise=1.5, blur_um=0.2)
    at = np.stack([scene.cells.x, scene.cells.y], -1) - scene.corner
    pixels = np.rint(at / geometry.cell_mpp - 0.5).astype(int)
    shown = tumor & np.all((pixels >= 0) & (pixels < geometry.size), -1)
    return {
        'cell_image': stain.photograph(rng, *cell_dyes, look, geometry.cell_mpp),
        'tissue_image': stain.photograph(rng, *tissue_dyes, look, geometry.tissue_mpp),
        'tissue_mask': scene.tissue.mask,
        'center': scene.center,
        'cells': np.column_stack([pixels, labels])[shown],
    }


def dyes(scene, positive, pixels):
    """Amounts of hematoxylin and DAB [h, w] at some pixels of a scene."""
    territories = cytoplasm.territories(scene.cells, pixels)
    counterstain = [0.5 * amount for amount in tissue.paint(scene.tissue, pixels, *territories)]
    hematoxylin, _ = nuclei.add_nuclei(*counterstain, scene.cells, scene.tissue, pixels)
    near = windows.around(scene.cells.take(positive), pixels, cells.REACH)
    dab = windows.padded(np.zeros_like(hematoxylin), pixels)
    if len(near.cells):
        radius = near.cells.morphology.radius[:, None, None]
        phases = 2 * np.pi * near.cells.shape[:, :3, None, None]
        angle = np.arctan2(near.y, near.x)
        waves = sum(np.sin(k * angle + phases[:, k - 2]) for k in (2, 3, 4))
        beyond = np.hypot(near.x, near.y) - radius - 0.25 * waves
        ring = np.exp(-(((beyond - RING) / max(WIDTH, pixels.mpp)) ** 2))
        body = 0.2 * np.clip(RING - beyond, 0, 1) * (beyond > 0)
        strength = 0.5 + 0.5 * near.cells.shape[:, 5, None, None]
        for window, amount in zip(near.slices, strength * ring + body, strict=True):
            dab[window] = np.maximum(dab[window], amount)
    return hematoxylin, windows.cropped(dab, pixels)


def write_release(root, pairs_per_split, geometry):
    """Writes drawn pairs as OCELOT's release lays its own out; returns `root`."""
    entries = {}
    for folder, count in pairs_per_split.items():
        for kind in ('images/{}/cell', 'images/{}/tissue', 'annotations/{}/cell',
                     'annotations/{}/tissue'):  # fmt: skip
            (root / kind.format(folder)).mkdir(parents=True)
        for index in range(count):
            pair_id = f'{len(entries) + 1:03d}'
            pair = draw_pair(geometry, folder, index)
            for kind in ('cell', 'tissue'):
                image = Image.fromarray(pair[f'{kind}_image'])
                image.save(root / f'images/{folder}/{kind}/{pair_id}.jpg', quality=92)
            mask = np.where(pair['tissue_mask'] == 255, 255, pair['tissue_mask'] + 1)
            Image.fromarray(mask.astype(np.uint8)).save(
                root / f'annotations/{folder}/tissue/{pair_id}.png'
            )
            (root / f'annotations/{folder}/cell/{pair_id}.csv').write_text(
                ''.join(f'{x},{y},{label}\n' for x, y, label in pair['cells'])
            )
            entries[pair_id] = {
                'slide_name': f'drawn-{folder}-{index}',
                'organ': 'lung',
                'subset': folder,
                'patch_x_offset': float(pair['center'][0]),
                'patch_y_offset': float(pair['center'][1]),
                **{
                    kind: {'resized_mpp_x': mpp, 'resized_mpp_y': mpp}
                    for kind, mpp in (
                        ('cell', geometry.cell_mpp), ('tissue', geometry.tissue_mpp),
                    )
                },
            }  # fmt: skip
    (root / 'metadata.json').write_text(json.dumps({'sample_pairs': entries}))
    return root
