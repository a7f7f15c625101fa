"""Images for people: skeletons over color, a 3D view from the side, videos."""
