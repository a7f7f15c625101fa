"""Pictures for people: skeletons over colour, a 3D view from the side, videos."""
