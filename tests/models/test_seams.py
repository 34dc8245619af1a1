"""Branches side by side: what is yielded at the seams, and what goes on from there."""

import jax
import narrow
import numpy as np
import pytest

from ocelot_jax.models import BRANCHES, seams

SHAPES = {
    'deeplabv3plus': {
        'input': (1, 64, 96, 3),
        'encoder': (1, 4, 6, 512),
        'aspp': (1, 4, 6, 256),
        'decoder': (1, 16, 24, 256),
    },
    'unet': {'input': (1, 64, 96, 3), 'encoder': (1, 2, 3, 512), 'decoder': (1, 64, 96, 16)},
}


def count(start):
    """A branch of two seams that adds one after each."""
    x = yield 'first', start
    x = yield 'second', x + 1
    return x + 1


def test_branches_go_on_with_what_was_exchanged():
    calls = []

    def swap(seam, features):
        calls.append((seam, features))
        return {'a': 10 * features['b'], 'b': 10 * features['a']}

    assert seams.run({'a': count(1), 'b': count(2)}, swap) == {'a': 111, 'b': 211}
    assert calls == [('first', {'a': 1, 'b': 2}), ('second', {'a': 21, 'b': 11})]
    assert seams.run({'a': count(1), 'b': count(2)}) == {'a': 3, 'b': 4}


@pytest.mark.parametrize('architecture', BRANCHES)
def test_a_branch_yields_its_seams_in_their_order(architecture):
    branch = BRANCHES[architecture](num_classes=5, encoder_name=narrow.ENCODER)
    met = {}

    def record(seam, features):
        met[seam] = features['alone'].shape
        return features

    def forward(branch, image):
        return seams.run({'alone': branch.stages(image, train=False)}, record)['alone']

    image = jax.ShapeDtypeStruct((1, 64, 96, 3), np.float32)
    init = lambda image: branch.init_with_output(jax.random.key(0), image, method=forward)
    logits, _ = jax.eval_shape(init, image)
    assert met == SHAPES[architecture]
    assert tuple(met) == branch.SEAMS
    assert logits.shape == (1, 64, 96, 5)
