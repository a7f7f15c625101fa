"""What can be trained; :mod:`unipose_training.recipes.command` has their names."""
