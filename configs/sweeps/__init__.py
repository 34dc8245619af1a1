"""Sweeps: configurations and the values that their fields may take, each with `get_sweep`."""
