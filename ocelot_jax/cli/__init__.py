"""What commands share: flags, errors as one line, and how a process is set up.

May import every library; no library imports it.
"""
