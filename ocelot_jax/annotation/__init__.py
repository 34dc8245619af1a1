"""Pairs to train on, from slides that people annotated.

May import prediction (um/px that users give), slides, viz, data, metrics (cells), io.
"""
