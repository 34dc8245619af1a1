"""DICOM slides, a file a level, as OpenSlide reads them."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

TILE = 64


def write_level(path, image, mpp, series, level=0):
    """Writes a level [H,W,3] uint8 of the slide whose SeriesInstanceUID is `series`."""
    height, width = image.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    padded[:height, :width] = image
    tiles = padded.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    kind = ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] if level == 0 else None
    data.ImageType = kind or ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED']
    data.Modality = 'SM'
    data.StudyInstanceUID, data.SeriesInstanceUID = f'{series}.1', series
    data.FrameOfReferenceUID = f'{series}.2'
    data.InstanceNumber = level + 1
    data.DimensionOrganizationType = 'TILED_FULL'
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, 'RGB', 0
    data.NumberOfFrames = rows * columns
    data.Rows = data.Columns = TILE
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.NumberOfOpticalPaths = data.TotalPixelMatrixFocalPlanes = 1
    path_of_light, measures, shared = Dataset(), Dataset(), Dataset()
    path_of_light.OpticalPathIdentifier = '1'
    data.OpticalPathSequence = [path_of_light]
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PixelData = np.ascontiguousarray(tiles).tobytes()
    data.save_as(path, enforce_file_format=True)
