"""A run scored on a split, its detection tuned; the official score of any program's cells.

May import inference, runs, viz, models, data, metrics, io.
"""
