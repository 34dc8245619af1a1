"""A data set in numbers: counts, tables, checks, figure.

May import viz, data, io.
"""
