"""Timings and sizes, measured side by side; never run as tests."""
