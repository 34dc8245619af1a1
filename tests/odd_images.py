"""Image files as programs write them now and then, which must not be taken for others."""

import struct
import zlib

import numpy as np
from PIL import Image


def encode_deep(array):
    """The bytes of a PNG of 16 bits a channel, which Pillow cannot write in color."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    height, width, _ = array.shape
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in array)
    header = struct.pack('>IIBBBBB', width, height, 16, 2, 0, 0, 0)
    parts = [(b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts)


def save_turned(path, orientation=6):
    """Has viewers turn the image in a file."""
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.open(path).save(path, exif=exif)


def save_colored(path):
    """Gives a mask a palette whose colors are not the gray of their numbers."""
    image = Image.open(path)
    image.putpalette(np.random.default_rng(0).permutation(768).astype(np.uint8).tolist())
    image.save(path)
