"""The modalities of trained networks: people are found, cut out, looked at all at once, and put back into the frame."""
