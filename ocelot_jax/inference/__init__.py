"""Batches to cells: engines, symmetries, detection, one loop.

May import interop, runs, models, data, metrics, io.
"""
