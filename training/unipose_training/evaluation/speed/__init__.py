"""How fast the estimator and the node are: scenes, stages, the node over DDS, and the machine's limits beside them."""
