"""What timm's own networks compute: `python tests/timm_goldens.py` writes it anew.

That needs timm; the tests need the file alone, for weights and images are drawn from their names.
The goldens are those of timm 1.0.31 on PyTorch 2.13.
"""

import math
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix('.npz')
# timm's arguments, and the size of our image
CASES = {
    # positions for another grid than the image's
    'vit': ({'img_size': 64, 'patch_size': 16, 'num_heads': 4}, (64, 96)),
    # as UNI 2 and H-optimus
    'vit14': (
        {
            'img_size': 56,
            'patch_size': 14,
            'num_heads': 2,
            'mlp_layer': 'SwiGLUPacked',
            'mlp_ratio': 5.33334,
            'init_values': 1e-5,
            'reg_tokens': 3,
            'no_embed_class': True,
        },
        (96, 64),
    ),
    # as Virchow 2: positions for registers, too
    'vit_placed': (
        {
            'img_size': 64,
            'patch_size': 16,
            'num_heads': 2,
            'mlp_ratio': 2.0,
            'init_values': 1e-5,
            'reg_tokens': 2,
        },
        (64, 64),
    ),
    'vit_bare': (
        {'img_size': 64, 'patch_size': 16, 'num_heads': 2, 'class_token': False},
        (64, 64),
    ),
    'convnext': ({'depths': (1, 1, 2, 2), 'dims': (8, 16, 24, 32)}, (64, 96)),
}
for _name, (_sizes, _) in CASES.items():
    if _name.startswith('vit'):
        _sizes |= {'embed_dim': 32, 'depth': 2}


def draw(name, shape):
    """A tensor of timm's by its name."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    noise = rng.standard_normal(shape)
    if name.endswith('weight') and len(shape) > 1:
        noise /= math.sqrt(math.prod(shape[1:]))
    elif name.endswith(('weight', 'gamma')):
        noise = 1 + 0.1 * noise
    elif name.endswith('bias'):
        noise *= 0.1
    return noise.astype(np.float32)


def image(case):
    """An image [1,H,W,3], standardised."""
    return draw(f'image of {case}', (1, *CASES[case][1], 3))


def timm_network(case):
    """Timm's network, its weights drawn."""
    import timm
    import torch

    sizes = dict(CASES[case][0])
    if case.startswith('vit'):
        layers = {'SwiGLUPacked': timm.layers.SwiGLUPacked, 'Mlp': timm.layers.Mlp}
        if layer := sizes.pop('mlp_layer', None):
            sizes |= {'mlp_layer': layers[layer], 'act_layer': torch.nn.SiLU}
        if not sizes.get('class_token', True):
            sizes['global_pool'] = ''
        network = timm.models.VisionTransformer(dynamic_img_size=True, **sizes)
    else:
        network = timm.models.ConvNeXt(output_stride=16, **sizes)
    drawn = {
        name: torch.from_numpy(draw(name, x.shape)) for name, x in network.state_dict().items()
    }
    network.load_state_dict(drawn)
    return network.eval()


def timm_maps(case, network):
    """The maps [1,h,w,C] of timm's network that ours should give."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(image(case).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        if case == 'convnext':
            maps = network.forward_intermediates(x, intermediates_only=True)
        else:
            patch = CASES[case][0]['patch_size']
            size = [side // 16 * patch for side in x.shape[2:]]
            if list(x.shape[2:]) != size:
                x = functional.interpolate(x, size, mode='bilinear', antialias=True)
            maps = network.forward_intermediates(x, indices=1, norm=True, intermediates_only=True)
    return [y.permute(0, 2, 3, 1).numpy() for y in maps]


def main():
    held = {}
    for case in CASES:
        network = timm_network(case)
        names = list(network.state_dict())
        held[f'{case}/names'] = np.array(names)
        shapes = [','.join(map(str, network.state_dict()[name].shape)) for name in names]
        held[f'{case}/shapes'] = np.array(shapes)
        for i, y in enumerate(timm_maps(case, network)):
            held[f'{case}/{i}'] = y
    np.savez_compressed(FILE, **held)


def state_dict(case):
    """Timm's weights of a case, as a checkpoint holds them."""
    held = np.load(FILE)
    return {
        str(name): draw(str(name), tuple(int(n) for n in str(shape).split(',')))
        for name, shape in zip(held[f'{case}/names'], held[f'{case}/shapes'], strict=True)
    }


def golden(case):
    """The maps that timm's network gave."""
    held = np.load(FILE)
    count = 4 if case == 'convnext' else 1
    return [held[f'{case}/{i}'] for i in range(count)]


if __name__ == '__main__':
    main()
