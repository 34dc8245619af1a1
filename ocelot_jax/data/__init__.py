"""From files to batches: sources, decoding, batches, augmentation, targets.

May import metrics, io. `augmentation`, `targets` and `patches` know arrays alone.
"""
