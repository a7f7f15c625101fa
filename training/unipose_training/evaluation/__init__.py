"""How good the poses are."""
