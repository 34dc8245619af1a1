"""Pictures of pairs and cells, and their colors.

May import metrics, io.
"""
