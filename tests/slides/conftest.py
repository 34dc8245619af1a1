"""A drawn slide, whole and with few cells."""

import dataclasses

import pytest
import results


@pytest.fixture(scope='session')
def slide():
    return results.make()


@pytest.fixture(scope='session')
def base(slide):
    """The slide with 500 cells."""
    return dataclasses.replace(
        slide, points=slide.points[:500], labels=slide.labels[:500], scores=slide.scores[:500]
    )
