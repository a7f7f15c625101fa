"""The ``unipose`` command."""
