"""Batches to cells: engines, symmetries, ensembles, detection, one loop.

May import interop, runs, models, data, metrics, io.
"""
