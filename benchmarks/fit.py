"""How well a run's check of looks tells: `python -m benchmarks.fit --source=DIR_OR_ZIP`.

Prints JSON lines: the seconds that learning takes; then, of pairs that were not learned from, how
many are warned of as they are and after each change, pair by pair and slide by slide (the median
over a slide's pairs): the validation split, and the training pairs of each slide, learned without
it. The changes are made by Pillow, which the check does not use.
"""

import argparse
import collections
import json
import time
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageFilter

from ocelot_jax.data import appearance, pair_folder
from ocelot_jax.data.appearance import Appearance
from ocelot_jax.training.appearance import choose

Row = dict[str, object]


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--source', required=True, help="pairs in OCELOT's layout")
    folder = pair_folder.PairFolder(parser.parse_args().source, annotated=False)
    train = folder.as_data_source('train')
    start = time.monotonic()
    records = [train[index] for index in choose(len(train))]
    measured = np.stack([measure(record) for record in records])
    slides = np.array([record['slide_name'] for record in records])
    known = appearance.learn(measured, slides)
    seconds = time.monotonic() - start
    print(json.dumps({'learned_from': len(records), 'seconds': round(seconds, 1)}), flush=True)
    held_out = list(folder.as_data_source('validation'))
    for line in compare('validation', held_out, lambda slide: known):
        print(json.dumps(line), flush=True)
    without = {
        slide: appearance.learn(measured[slides != slide], slides[slides != slide])
        for slide in np.unique(slides)
    }
    for line in compare('train, the slide left out', records, without.__getitem__):
        print(json.dumps(line), flush=True)


def measure(record: Row) -> np.ndarray:
    """Describes a pair as training does."""
    return appearance.measure(record['cell_image'], float(record['cell_mpp']))


def changes(mpp: float) -> dict[str, Callable[[Image.Image], Image.Image]]:
    """What is done to a patch, by name."""

    def magnified(kernel):  # read at twice its um/px, its middle is seen twice as large
        def change(image):
            side = image.width
            rim = side // 4
            inner = image.crop((rim, rim, rim + side // 2, rim + side // 2))
            return inner.resize((side, side), kernel)

        return change

    def blurred(um):
        return lambda image: image.filter(ImageFilter.GaussianBlur(um / mpp))

    return {
        'as it is': lambda image: image,
        'twice the um/px': magnified(Image.BICUBIC),
        'twice the um/px, linear': magnified(Image.BILINEAR),
        'half the um/px': lambda i: i.resize((i.width // 2, i.height // 2), Image.BOX),
        'gray': lambda image: image.convert('L').convert('RGB'),
        'inverted': lambda image: Image.eval(image, lambda value: 255 - value),
        'blurred, 0.5 um': blurred(0.5),
        'blurred, 1 um': blurred(1.0),
        'blurred, 2 um': blurred(2.0),
    }


def compare(
    name: str, records: list[Row], known: Callable[[str], Appearance]
) -> Iterator[dict[str, object]]:
    """Counts warnings; `known` gives what to compare the pairs of a slide with.

    Pairs of glass cannot be judged, and are counted apart.
    """
    slides = np.array([record['slide_name'] for record in records])
    for change, make in changes(float(records[0]['cell_mpp'])).items():
        described = np.stack([describe(record['cell_image'], make) for record in records])
        alone = [
            appearance.judge(known(slide), row[None])
            for slide, row in zip(slides, described, strict=True)
        ]
        whole = [
            appearance.judge(known(slide), described[slides == slide])
            for slide in np.unique(slides)
        ]
        judged = [verdict for verdict in alone if verdict is not None]
        causes = collections.Counter(v.cause for v in judged if v.cause is not None)
        yield {
            'of': name,
            'change': change,
            'pairs': len(alone),
            'with_tissue': len(judged),
            'warned': round(sum(causes.values()) / len(judged), 4),
            'causes': dict(causes.most_common()),
            'slides': sum(v is not None for v in whole),
            'slides_warned': sum(v is not None and v.cause is not None for v in whole),
        }


def describe(image: np.ndarray, make: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Describes a changed patch as prediction does."""
    patch = np.asarray(make(Image.fromarray(image)))
    return appearance.features(appearance.middle(patch, appearance.SIDE))


if __name__ == '__main__':
    main()
