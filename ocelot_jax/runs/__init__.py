"""A run's directory: every path, file and column in it, and its checkpoints.

May import models, data, metrics, io.
"""
