"""Masks that are optimised or searched: over frames, and over space and time."""
