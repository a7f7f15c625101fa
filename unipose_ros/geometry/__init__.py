"""Geometry that every layer uses: crops, covariances, surfaces, the average body."""
