"""Excitation backprop: probability that is passed down from a class, layer by layer, to the input."""
