"""A slide to windows, cells and files.

May import inference, viz, data, metrics, cluster, io.
"""
