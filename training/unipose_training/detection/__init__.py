"""Training the network that finds people in depth."""
