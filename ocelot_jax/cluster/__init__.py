"""Runs independent tasks, each once, in this process or on Dask.

Knows nothing of what they do. May import io.
"""
