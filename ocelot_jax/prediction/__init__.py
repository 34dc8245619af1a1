"""Whatever a user wants predicted, pairs or slides, to files.

May import slides, inference, evaluation (the challenge's format), runs, viz, data,
cluster, io.
"""
