"""The features of a pair of patches, the same in every builder."""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds


def pair_features(
    cell_classes: Sequence[str] = ('BC', 'TC'), image_format: str = 'jpeg'
) -> tfds.features.FeaturesDict:
    """Declares one record: two patches, their annotations and where one lies in the other.

    Args:
        cell_classes: names of the cell classes 1, 2, ...; class 0 is 'no cell'.
        image_format: encoding of the two color patches, 'jpeg' or 'png'.

    Returns:
        The features. The tissue mask holds classes from 0, and 255 for unknown; `x` and `y` are
        pixels of the cell patch, centers at integers; `center` is relative (c_x, c_y); `*_mpp`
        are micrometres per pixel.
    """
    image = {'shape': (None, None, 3), 'encoding_format': image_format}
    return tfds.features.FeaturesDict(
        {
            'pair_id': tfds.features.Text(),
            'slide_name': tfds.features.Text(),
            'organ': tfds.features.Text(),
            'cell_image': tfds.features.Image(**image),
            'tissue_image': tfds.features.Image(**image),
            'tissue_mask': tfds.features.Image(shape=(None, None, 1), encoding_format='png'),
            'cells': tfds.features.Sequence(
                {
                    'x': np.float32,
                    'y': np.float32,
                    'label': tfds.features.ClassLabel(names=['no cell', *cell_classes]),
                }
            ),
            'center': tfds.features.Tensor(shape=(2,), dtype=np.float32),
            'cell_mpp': np.float32,
            'tissue_mpp': np.float32,
        }
    )
