"""A Keras model as a function of clips: its scores, its layers, and faster stand-ins for some of them."""
