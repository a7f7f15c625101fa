"""Executables: each file is one node and its ``main``."""
