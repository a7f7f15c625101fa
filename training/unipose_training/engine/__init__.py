"""Training any network: the loop, its configuration, its logs, and going on after an end that came early.

Recipes say what is learned from what (:class:`unipose_training.engine.step.Task`); only this room
knows what drives the devices (Lightning Fabric).
"""
