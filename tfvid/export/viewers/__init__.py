"""Explanations for the viewers of other packages, one file for each: FiftyOne, Rerun, Weights & Biases and trackio.

explanations or a folder of records ─► `clips.explained_clips` ─► one `ViewedClip` at a time ─► the viewer's own file
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
