"""Tissue is found, glass and pens are not."""

import numpy as np
import pytest
from scipy import ndimage

from ocelot_jax.slides import foreground
from ocelot_jax.slides.slide import Slide

INKS = {'blue': (30, 50, 190), 'green': (20, 140, 70), 'black': (35, 33, 36), 'red': (225, 25, 35)}
STAINS = {
    'eosin': (225, 160, 195),
    'pale': (238, 222, 234),
    'hematoxylin': (110, 80, 160),
    'bluish': (120, 125, 185),
    'DAB': (140, 95, 60),
}
MPP = 4.0


def paint(color, noise=4, seed=0):
    """A slide of glass with a blob in the middle, at 4 um/px; and where the blob is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :300]
    blob = np.hypot(x - 150, (y - 120) * 1.3) < 60
    picture = np.where(blob[..., None], color, (243, 242, 244)) + rng.normal(
        0, noise, (240, 300, 3)
    )
    return picture.clip(0, 255).astype(np.uint8), blob


def enlarged(mask, mpp, shape):
    factor = round(mpp / MPP)
    return mask.repeat(factor, 0).repeat(factor, 1)[: shape[0], : shape[1]]


@pytest.mark.parametrize('stain', STAINS)
def test_stained_tissue_is_found_and_glass_is_not(stain):
    picture, blob = paint(STAINS[stain])
    mask, mpp = foreground.find(picture, MPP)
    assert mpp == 8.0
    mask = enlarged(mask, mpp, blob.shape)
    assert mask[ndimage.binary_erosion(blob, iterations=6)].all()
    assert not mask[~ndimage.binary_dilation(blob, iterations=12)].any()


@pytest.mark.parametrize('ink', INKS)
def test_pens_are_no_tissue(ink):
    picture, blob = paint(STAINS['eosin'])
    picture[10:22, 20:280] = INKS[ink]
    picture[30:230, 270:284] = INKS[ink]
    mask, mpp = foreground.find(picture, MPP)
    mask = enlarged(mask, mpp, blob.shape)
    assert mask[ndimage.binary_erosion(blob, iterations=6)].all()
    assert not mask[~ndimage.binary_dilation(blob, iterations=12)].any()


def test_glass_alone_is_nothing():
    picture, _ = paint((243, 242, 244))
    assert not foreground.find(picture, MPP)[0].any()


def test_tissue_alone_is_everything():
    picture = np.random.default_rng(0).normal((215, 150, 190), 12, (100, 130, 3))
    mask, _ = foreground.find(picture.clip(0, 255).astype(np.uint8), MPP)
    assert mask.mean() > 0.98


def test_white_tears_in_tissue_are_tissue():
    picture, blob = paint(STAINS['eosin'])
    picture[115:121, 130:136] = 244  # 24 um
    mask, mpp = foreground.find(picture, MPP)
    assert enlarged(mask, mpp, blob.shape)[115:121, 130:136].all()


def test_specks_are_no_tissue():
    picture, _ = paint((243, 242, 244))
    picture[50:54, 60:64] = STAINS['eosin']
    assert not foreground.find(picture, MPP)[0].any()


def test_the_real_slide(shared):
    with Slide(shared / 'data/slides/cmu-1-small-region.svs') as slide:
        picture, mpp = foreground.overview(slide)
    assert max(picture.shape) == 2000
    mask, mask_mpp = foreground.find(picture, mpp)
    factor = round(mask_mpp / mpp)
    dark = picture.mean(-1)[: len(mask) * factor : factor, : mask.shape[1] * factor : factor] < 150
    size = [min(a, b) for a, b in zip(mask.shape, dark.shape, strict=True)]
    assert mask[: size[0], : size[1]][dark[: size[0], : size[1]]].mean() > 0.95
