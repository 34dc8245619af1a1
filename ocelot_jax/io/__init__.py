"""Files and errors: whole files or none, CSV, text tables, locks.

Imports no other room.
"""
