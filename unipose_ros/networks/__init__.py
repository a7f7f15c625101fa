"""Neural networks, their weights, and what goes in and out of them."""
