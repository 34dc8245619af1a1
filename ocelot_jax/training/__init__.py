"""The training of a run: loop, step, state, losses, optimizer, progress.

May import evaluation (for validation), inference, interop, runs, models, data, io.
"""
