"""Robust fusion of several estimates of one person's joints; pure NumPy, shared by run time and training."""
