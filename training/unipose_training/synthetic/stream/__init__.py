"""Training people drawn on the fly: scenes, sensors, boxes, crops and targets as functions of a seed."""
