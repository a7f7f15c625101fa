"""Everything that is read, given inputs that are wrong in many ways; see ``python -m fuzzing --help``."""
