"""Data sets and recordings, read into frames; one file per format."""
