"""Whole slides: reading them, finding their cells, and writing what was found."""
