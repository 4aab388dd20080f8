"""Changing clips: what a mask does to the frames."""
