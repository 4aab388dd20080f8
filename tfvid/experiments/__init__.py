"""Runs over many clips: explaining, evaluating, the study of two models and the comparison of methods."""
