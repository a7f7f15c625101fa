"""Joints over time that agree best with all sources: robust MAP trajectory fusion."""
