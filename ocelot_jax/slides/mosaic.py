"""Regions of a slide put together of blocks that are read once, for windows that overlap."""

import collections
import concurrent.futures
import itertools
import threading
from collections.abc import Callable

import numpy as np

from ocelot_jax.slides.slide import Slide

BLOCK = 256
# 50 MB: a row of windows of 1024 px, which the next row shares, on a slide of 13,000 px
_MOST_BLOCKS = 256


class Mosaic:
    """A slide at one um/px, read block by block; many threads may read at once.

    Tissue windows overlap by half along both axes, so that what each reads by itself is read, and
    decompressed, four times. The blocks that were asked for last are kept.

    Args:
        slide: what is read.
        mpp: micrometres per pixel.
        pool: reads the blocks.
    """

    def __init__(self, slide: Slide, mpp: float, pool: concurrent.futures.Executor):
        self._slide, self._mpp, self._pool = slide, mpp, pool
        self._lock = threading.Lock()
        self._blocks: collections.OrderedDict[
            tuple[int, int], concurrent.futures.Future[np.ndarray]
        ] = collections.OrderedDict()

    def start(self, x: int, y: int, width: int, height: int) -> Callable[[], np.ndarray]:
        """Starts to read a region, and gives what waits for it.

        That gives what `Slide.read` does of this um/px, and raises what it raises; none of the
        pool's threads may call it.
        """
        rows = range(y // BLOCK, (y + height - 1) // BLOCK + 1)
        columns = range(x // BLOCK, (x + width - 1) // BLOCK + 1)
        with self._lock:
            blocks = [
                ((column * BLOCK - x, row * BLOCK - y), self._block(column, row))
                for row, column in itertools.product(rows, columns)
            ]

        def join() -> np.ndarray:
            result = np.empty((height, width, 3), np.uint8)
            for (left, top), block in blocks:
                result[max(top, 0) : top + BLOCK, max(left, 0) : left + BLOCK] = block.result()[
                    max(-top, 0) : height - top, max(-left, 0) : width - left
                ]
            return result

        return join

    def _block(self, column: int, row: int) -> concurrent.futures.Future[np.ndarray]:
        place = column, row
        if place in self._blocks:
            self._blocks.move_to_end(place)
        else:
            self._blocks[place] = self._pool.submit(
                self._slide.read, column * BLOCK, row * BLOCK, BLOCK, BLOCK, self._mpp
            )
            if len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        return self._blocks[place]
