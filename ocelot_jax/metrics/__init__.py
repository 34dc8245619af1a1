"""Scores and their uncertainty: matching, F1, IoU, bootstrap, intervals, calibration.

Arrays in, numbers out; imports no other room.
"""
