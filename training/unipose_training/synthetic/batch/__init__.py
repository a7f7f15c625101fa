"""Whole batches of frames at once: scenes as tensors, two renderers with one interface, labels."""
