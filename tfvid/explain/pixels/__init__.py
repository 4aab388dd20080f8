"""Maps over the clip's own pixels: gradients, occlusion, sampled masks, Shapley values."""
