"""Which runs a sweep trains, and in which order.

May import training, evaluation, runs, data, cluster, io.
"""
