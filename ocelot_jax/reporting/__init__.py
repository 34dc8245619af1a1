"""Runs to tables, comparisons and a page.

May import what lies below it: evaluation, runs, viz, data, metrics, io.
"""
