"""Training and evaluating the lifter and the refiner."""
