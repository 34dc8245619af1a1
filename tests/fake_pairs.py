"""A source of pairs whose content tells their row."""

import numpy as np


class FakeSource:
    """Records whose content tells their row: row i holds i % 4 cells."""

    def __init__(self, length, size=4):
        self.length = length
        self.size = size

    def __len__(self):
        return self.length

    def __getitem__(self, row):
        if not 0 <= row < self.length:
            raise IndexError(row)
        cells = row % 4
        return {
            'pair_id': f'{row:03d}',
            'slide_name': f'slide-{row:03d}',
            'organ': 'kidney',
            'cell_image': np.full((self.size, self.size, 3), row, np.uint8),
            'tissue_image': np.full((6, 6, 3), 100 + row, np.uint8),
            'tissue_mask': np.full((6, 6, 1), row % 2, np.uint8),
            'cells': {
                'x': np.arange(cells, dtype=np.float32) + row,
                'y': np.arange(cells, dtype=np.float32) + 0.5,
                'label': np.arange(cells, dtype=np.int64) % 2 + 1,
            },
            'center': np.array([0.25, row / 100], np.float32),
            'cell_mpp': np.float32(0.2),
            'tissue_mpp': np.float32(0.8),
        }
