"""The modalities of trained networks: people are detected, cropped, estimated in one batch."""
