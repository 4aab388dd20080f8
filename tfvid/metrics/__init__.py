"""Numbers that say how good a classifier, a mask or a map is."""
