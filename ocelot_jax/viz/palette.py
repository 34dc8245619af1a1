"""The colors of classes in every picture, after the paper's Figures 2 and 6."""

# class 1 (BC) yellow and class 2 (TC) blue; the cancer area green
_CELL_COLORS = ('#ffe119', '#1452ff', '#ff4fd8', '#00d2d2', '#ff8c1a', '#8cff66')
_TISSUE_COLORS = ('#00b83c', '#ff8c1a', '#b44fff', '#00d2d2', '#ff4fd8', '#ffe119')
BACKGROUND_COLOR = '#d9d9d9'
UNKNOWN_COLOR = '#8c8c8c'


def cell_color(label: int) -> str:
    """The color of the cells of a class, 1..K, as '#rrggbb'; there are six, in turn."""
    return _CELL_COLORS[(label - 1) % len(_CELL_COLORS)]


def tissue_color(value: int) -> str:
    """The color of a tissue class other than the background, 1..T-1, as '#rrggbb'; likewise."""
    return _TISSUE_COLORS[(value - 1) % len(_TISSUE_COLORS)]


def rgb(color: str) -> list[int]:
    """Red, green and blue, 0..255, of '#rrggbb'."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def ink_on(color: str) -> str:
    """White on a dark '#rrggbb', black on a light one."""
    red, green, blue = rgb(color)
    return 'white' if 0.3 * red + 0.6 * green + 0.1 * blue < 128 else 'black'
