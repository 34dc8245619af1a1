"""Augmentation of a batch, on the device (OCELOT, Appendix B).

Three photometric transformations (Gaussian blur, Gaussian noise, color jitter) and two geometric
ones (horizontal flip, quarter turns); beyond the paper the stains' amounts and the scale
(`stain`, `scaling`). Both patches of a pair, the tissue mask, the cells' points and `center` turn
together. The two patches come from one slide with one stain, so they share stain and color; blur
and noise belong to the scan of each patch and are drawn apart.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import chex
import dm_pix
import jax
import jax.numpy as jnp
import numpy as np

from ocelot_jax.data import scaling, stain

# What encoders pretrained on ImageNet expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_IMAGES = ('cell_image', 'tissue_image')
_PAIR = (*_IMAGES, 'tissue_mask', 'center', 'cell_points', 'cell_labels')


def to_float(images: jax.Array) -> jax.Array:
    """Maps uint8 images to float32 in [0, 1]; float images pass as they are."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255.0
    return images


def normalize(images: Any) -> Any:
    """Standardises RGB images [..., 3] f32 in [0, 1] by ImageNet's mean and deviation."""
    return (images - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)


def model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a model reads, images as it wants them: float32, standardised.

    `tissue_mask` is passed on where there is one, as only context `label` and who is told the true
    tissue (`is_told`) need it.
    """
    inputs = {name: normalize(to_float(batch[name])) for name in _IMAGES}
    others = ('tissue_mask', 'center', 'cell_mpp', 'tissue_mpp', 'is_told')
    return inputs | {name: batch[name] for name in others if name in batch}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is augmented; `configs/default.py` holds the values.

    Attributes:
        flip_probability: of a horizontal flip.
        rotate_probability: of a turn by 90, 180 or 270 degrees; 3/4 makes all four alike.
        blur_probability: of a Gaussian blur, for each patch.
        blur_sigma: the largest standard deviation of the blur in pixels, drawn from 0 up.
        noise_probability: of additive Gaussian noise, for each patch.
        noise_std: the largest standard deviation of the noise, on the [0, 1] scale, from 0 up.
        color_probability: of color jitter, one for the pair.
        brightness: the largest shift of all channels, on the [0, 1] scale.
        contrast: the largest relative change of contrast, about the tissue patch's mean color.
        saturation: the largest relative change of saturation.
        hue: the largest shift of hue, as a part of the color circle.
        stain_probability: of other amounts of the stains, one for the pair.
        stain: the largest change of each stain's amount, see `stain.jitter`.
        scale_probability: of another scale of both patches.
        scale: the largest magnification less one; as much smaller at most.
    """

    flip_probability: float
    rotate_probability: float
    blur_probability: float
    blur_sigma: float
    noise_probability: float
    noise_std: float
    color_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    stain_probability: float
    stain: float
    scale_probability: float
    scale: float


def augment(
    key: jax.Array, batch: dict[str, jax.Array], settings: Settings
) -> dict[str, jax.Array]:
    """Augments every example of a batch on its own.

    The randomness of an example comes from `key` and the example's `index`, not from its place
    in the batch: one key for all devices gives the same examples however a batch is sharded.

    Args:
        key: PRNG key of the training step.
        batch: a batch as `data.batches` makes it, patches square, images uint8 or float32 in
            [0, 1]. Fields that no transformation touches pass through.
        settings: static.

    Returns:
        The batch with images as float32 in [0, 1], and masks, points and centers to match. Where
        the scale changes, `cell_known` [B,H,W] bool tells which pixels show what was annotated.
    """
    for name in _IMAGES:
        chex.assert_rank(batch[name], 4)
        chex.assert_equal(*batch[name].shape[1:3])
    chex.assert_shape(batch['tissue_mask'], batch['tissue_image'].shape[:3])

    def augment_pair(index: jax.Array, pair: dict[str, jax.Array]) -> dict[str, jax.Array]:
        pair_key = jax.random.fold_in(key, index)
        turn_key, color_key, *scan_keys, scale_key, stain_key = jax.random.split(pair_key, 6)
        # Turned while still uint8: a quarter of the bytes.
        if settings.flip_probability or settings.rotate_probability:
            pair = _turn_randomly(turn_key, pair, settings)
        images = [to_float(pair[name]) for name in _IMAGES]
        if settings.scale_probability:
            pair |= dict(zip(_IMAGES, images, strict=True))
            pair = _scale_randomly(scale_key, pair, settings)
            images = [pair[name] for name in _IMAGES]
        if settings.stain_probability:
            images = _jitter_stain(stain_key, images, settings)
        if settings.color_probability:
            images = _jitter_color(color_key, images, settings)
        for name, image, scan_key in zip(_IMAGES, images, scan_keys, strict=True):
            blur_key, noise_key = jax.random.split(scan_key)
            if settings.blur_probability:
                image = _blur(blur_key, image, settings.blur_probability, settings.blur_sigma)
            if settings.noise_probability:
                image = _add_noise(
                    noise_key, image, settings.noise_probability, settings.noise_std
                )
            pair[name] = image
        return pair

    pairs = {name: batch[name] for name in _PAIR}
    return {**batch, **jax.vmap(augment_pair)(batch['index'], pairs)}


def turn(
    pair: dict[str, jax.Array], flip: jax.Array | bool, quarter_turns: jax.Array | int
) -> dict[str, jax.Array]:
    """Flips one pair horizontally (or not), then turns it counter-clockwise.

    Args:
        pair: one example, without the batch axis, or some fields of it: cell_image [H,H,3],
            tissue_image [h,h,3], tissue_mask [h,h], center [2], cell_points [P,2] with cell_labels
            [P] and the cell_image.
        flip: scalar bool.
        quarter_turns: scalar int in 0..3.

    Returns:
        The pair; entries of `cell_points` that pad (label 0) stay zeros.
    """
    # dm_pix.rot90 wants a static number of turns. The eight orientations are a transposition
    # followed by flips of the columns and of the rows.
    transpose = quarter_turns % 2 == 1
    flip_x = (quarter_turns >= 2) ^ (flip & (quarter_turns % 2 == 0))
    flip_y = ((quarter_turns == 1) | (quarter_turns == 2)) ^ (flip & transpose)

    def orient_image(image: jax.Array) -> jax.Array:
        image = jnp.where(transpose, jnp.swapaxes(image, 0, 1), image)
        image = jnp.where(flip_x, image[:, ::-1], image)
        return jnp.where(flip_y, image[::-1], image)

    def orient_points(points: jax.Array, extent: float) -> jax.Array:
        points = jnp.where(transpose, points[..., ::-1], points)
        return jnp.where(jnp.stack([flip_x, flip_y]), extent - points, points)

    images = (*_IMAGES, 'tissue_mask')
    turned = {name: orient_image(pair[name]) for name in images if name in pair}
    if 'center' in pair:
        turned['center'] = orient_points(pair['center'], 1.0)
    if 'cell_points' in pair:
        points = orient_points(pair['cell_points'], pair['cell_image'].shape[0] - 1)
        turned['cell_points'] = jnp.where((pair['cell_labels'] > 0)[:, None], points, 0.0)
    return {**pair, **turned}


def _turn_randomly(
    key: jax.Array, pair: dict[str, jax.Array], settings: Settings
) -> dict[str, jax.Array]:
    flip_key, rotate_key, turns_key = jax.random.split(key, 3)
    flip = jax.random.bernoulli(flip_key, settings.flip_probability)
    rotate = jax.random.bernoulli(rotate_key, settings.rotate_probability)
    quarter_turns = jnp.where(rotate, jax.random.randint(turns_key, (), 1, 4), 0)
    return turn(pair, flip, quarter_turns)


def _scale_randomly(
    key: jax.Array, pair: dict[str, jax.Array], settings: Settings
) -> dict[str, jax.Array]:
    """Magnifies a pair by up to 1 + `scale`, or shrinks it by as much, or leaves it."""
    draw_key, scale_key = jax.random.split(key)
    most = math.log1p(settings.scale)
    factor = jnp.exp(jax.random.uniform(scale_key, minval=-most, maxval=most))
    drawn = jax.random.bernoulli(draw_key, settings.scale_probability)
    return scaling.magnify(pair, jnp.where(drawn, factor, 1.0))


def _jitter_stain(
    key: jax.Array, images: Sequence[jax.Array], settings: Settings
) -> list[jax.Array]:
    """Changes the stains of both patches [H,W,3] by one and the same amounts, or by none."""
    draw_key, stain_key = jax.random.split(key)
    change = stain.draw_change(stain_key, settings.stain)
    drawn = jax.random.bernoulli(draw_key, settings.stain_probability)
    return [jnp.where(drawn, stain.jitter(image, *change), image) for image in images]


def _jitter_color(
    key: jax.Array, images: Sequence[jax.Array], settings: Settings
) -> list[jax.Array]:
    """Maps the colors of the cell and the tissue patch [H,W,3] by one function, or by none."""
    _, tissue_image = images
    draw_key, *keys = jax.random.split(key, 5)
    strengths = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    changes = [
        jax.random.uniform(k, minval=-strength, maxval=strength)
        for k, strength in zip(keys, strengths, strict=True)
    ]
    jitter = functools.partial(
        _change_color, changes=changes, pivot=jnp.mean(tissue_image, axis=(0, 1))
    )
    drawn = jax.random.bernoulli(draw_key, settings.color_probability)
    return [jnp.where(drawn, jitter(image), image) for image in images]


def _change_color(image: jax.Array, changes: list[jax.Array], pivot: jax.Array) -> jax.Array:
    """Changes brightness, contrast (about `pivot`), saturation and hue of one image."""
    brightness, contrast, saturation, hue = changes
    image = dm_pix.adjust_brightness(image, brightness)
    # Not dm_pix.adjust_contrast: it turns about each image's own mean, and the same tissue
    # would get two colors in the two patches.
    pivot = pivot + brightness
    image = jnp.clip((1.0 + contrast) * (image - pivot) + pivot, 0.0, 1.0)
    # dm_pix.adjust_saturation and adjust_hue in one round trip through HSV instead of two.
    h, s, v = jnp.moveaxis(dm_pix.rgb_to_hsv(image), -1, 0)
    s = jnp.clip((1.0 + saturation) * s, 0.0, 1.0)
    return jnp.clip(dm_pix.hsv_to_rgb(jnp.stack([(h + hue) % 1.0, s, v], axis=-1)), 0.0, 1.0)


def _blur(key: jax.Array, image: jax.Array, probability: float, max_sigma: float) -> jax.Array:
    """Blurs one image [H,W,3] by a Gaussian of a random width, or leaves it."""
    draw_key, sigma_key = jax.random.split(key)
    sigma = jax.random.uniform(sigma_key, minval=0.0, maxval=max_sigma)
    drawn = jax.random.bernoulli(draw_key, probability)
    blurred = gaussian_blur(image, sigma, radius=math.ceil(3.0 * max_sigma))
    return jnp.where(drawn, jnp.clip(blurred, 0.0, 1.0), image)


def gaussian_blur(image: jax.Array, sigma: jax.Array, *, radius: int) -> jax.Array:
    """Convolves one image with a Gaussian, the border's pixels repeated outwards.

    dm_pix.gaussian_blur accepts a traced sigma and agrees inside of the image, but it darkens
    the border (zeros around it) and is a depthwise convolution, which XLA runs slowly on CPUs:
    277 ms for 1024 x 1024 pixels on two cores, where these shifted sums take 3 ms.

    Args:
        image: [H,W,C] f32.
        sigma: scalar f32, the standard deviation in pixels; 0 leaves the image as it is.
        radius: static, where the Gaussian is cut off, in pixels.

    Returns:
        [H,W,C] f32.
    """
    height, width, channels = image.shape
    taps = jnp.arange(-radius, radius + 1)
    weights = jnp.exp(-(taps**2) / (2.0 * jnp.maximum(sigma, 1e-3) ** 2))
    weights = weights / jnp.sum(weights)

    def pad(image: jax.Array, axis: int) -> jax.Array:
        widths = [(0, 0)] * 3
        widths[axis] = (radius, radius)
        # Without the barrier XLA fuses what comes before, and computes it once per tap.
        return jax.lax.optimization_barrier(jnp.pad(image, widths, mode='edge'))

    # Channels are folded into the columns, so that the inner loops are long and contiguous.
    rows = pad(image, 0).reshape(height + 2 * radius, width * channels)
    mixed = [weight * rows[i : i + height] for i, weight in enumerate(weights)]
    columns = pad(functools.reduce(jnp.add, mixed).reshape(image.shape), 1)
    columns = columns.reshape(height, (width + 2 * radius) * channels)
    mixed = [
        weight * columns[:, i * channels : (i + width) * channels]
        for i, weight in enumerate(weights)
    ]
    return functools.reduce(jnp.add, mixed).reshape(image.shape)


def _add_noise(key: jax.Array, image: jax.Array, probability: float, max_std: float) -> jax.Array:
    """Adds Gaussian noise of a random deviation to one image [H,W,3], or leaves it."""
    draw_key, std_key, noise_key = jax.random.split(key, 3)
    std = jax.random.uniform(std_key, minval=0.0, maxval=max_std)
    noisy = image + std * jax.random.normal(noise_key, image.shape)
    drawn = jax.random.bernoulli(draw_key, probability)
    return jnp.where(drawn, jnp.clip(noisy, 0.0, 1.0), image)
