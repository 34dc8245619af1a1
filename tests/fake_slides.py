"""Slides of any size and bounds that have no file, for what asks only where they lie."""

import types
from pathlib import Path


def make(width=4000, height=3000, mpp=0.25, bounds=None, path='slide.svs'):
    """What `slides.Slide` tells of a slide."""
    path = Path(path)
    return types.SimpleNamespace(
        path=path,
        name=path.stem,
        width=width,
        height=height,
        mpp=mpp,
        axis_mpps=None,
        overridden=False,
        bounds=bounds,
    )
