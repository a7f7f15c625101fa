"""Adaptation of the networks to a camera, its mounting and its surroundings, from recordings without labels."""
