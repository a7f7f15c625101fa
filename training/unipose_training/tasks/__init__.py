"""Teaching the lifter and the refiner, and judging them."""
