"""Random augmentation of training clips: a crop and a mirror, the same for all frames of a clip."""

import tensorflow as tf


def augment(clip: dict, seed, min_scale: float, flip_labels: dict[int, int] | None, num_classes: int) -> dict:
    """Crops a clip, and mirrors it with a probability of one half; a pure function of its arguments.

    Args:
      clip: one clip as in `load_dataset`, with uint8 frames `(T, H, W, 3)`.
      seed: int64 `(2,)`.
      min_scale: the crop keeps at least this share of height and of width, in (0, 1]; 1 is no crop.
      flip_labels: `VideoDataset.flip_labels`; None for no mirror.
      num_classes: K.

    Returns:
      The clip, with the same shapes and dtypes. Its boxes are cropped and mirrored with the frames, and its label is
      that of the mirrored clip. The event does not change.
    """
    draws = tf.random.stateless_uniform([4], seed)
    if min_scale < 1:
        clip = crop(clip, min_scale + (1 - min_scale) * draws[0], draws[1], draws[2])
    if flip_labels is not None:
        labels = tf.constant([flip_labels.get(label, label) for label in range(num_classes)], tf.int32)
        clip = tf.cond(draws[3] < 0.5, lambda: mirror(clip, labels), lambda: clip)
    return clip


def crop(clip: dict, scale, down, right) -> dict:
    """Crops a clip and resizes the crop to (H, W).

    Args:
      clip: see `augment`.
      scale: share of height and of width that is kept, in (0, 1].
      down: the place of the crop, from 0 (the top) to 1 (the bottom).
      right: the place of the crop, from 0 (the left) to 1 (the right).
    """
    pixels = clip["clip"].shape[1:3]
    size = tf.constant(list(pixels), tf.float32)
    kept = tf.maximum(tf.round(scale * size), 1)
    corner = tf.floor(tf.stack([down, right]) * (size - kept + 1))  # whole pixels, so that boxes stay exact
    (height, width), (top, left) = tf.unstack(tf.cast(kept, tf.int32)), tf.unstack(tf.cast(corner, tf.int32))
    frames = clip["clip"][:, top : top + height, left : left + width]
    frames = tf.image.resize(frames, pixels)
    boxes = (clip["boxes"] - tf.tile(corner, [2])) * tf.tile(size / kept, [2])
    boxes = tf.clip_by_value(boxes, 0.0, tf.tile(size, [2]))
    inside = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1, keepdims=True)
    boxes = tf.where(inside, boxes, float("nan"))
    return {**clip, "clip": tf.cast(tf.round(frames), tf.uint8), "boxes": boxes}


def mirror(clip: dict, labels) -> dict:
    """Mirrors a clip left to right; `labels`, int32 `(K,)`, are the labels of the mirrored classes."""
    width = clip["clip"].shape[2]
    top, left, bottom, right = tf.unstack(clip["boxes"], axis=-1)
    boxes = tf.stack([top, width - right, bottom, width - left], axis=-1)
    label = tf.gather(labels, clip["label"])
    return {**clip, "clip": clip["clip"][:, :, ::-1], "boxes": boxes, "label": label}
