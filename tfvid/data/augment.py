"""Random changes to training clips: one crop and one mirror decision a clip, the same for all its frames."""

import tensorflow as tf


def augment(clip: dict, seed, min_scale: float, flip_labels: dict[int, int] | None, num_classes: int) -> dict:
    """Crops, and mirrors half of the clips; a pure function of its arguments.

    Args:
      clip: one clip as in `load_dataset`, with uint8 frames `(T, H, W, 3)`.
      seed: int64 `(2,)`.
      min_scale: the crop keeps at least this share of height and of width, in (0, 1]; 1 is no crop.
      flip_labels: `VideoDataset.flip_labels`; None for no mirroring.
      num_classes: K.

    Returns:
      The clip, of the same shapes and dtypes, with boxes moved along and label changed where the mirror
      changes it. The event is where it was.
    """
    draws = tf.random.stateless_uniform([4], seed)
    if min_scale < 1:
        clip = crop(clip, min_scale + (1 - min_scale) * draws[0], draws[1], draws[2])
    if flip_labels is not None:
        labels = tf.constant([flip_labels.get(label, label) for label in range(num_classes)], tf.int32)
        clip = tf.cond(draws[3] < 0.5, lambda: mirror(clip, labels), lambda: clip)
    return clip


def crop(clip: dict, scale, down, right) -> dict:
    """Keeps the share `scale` of height and width, `down` and `right` in [0, 1) of the way, resized to (H, W)."""
    pixels = clip["clip"].shape[1:3]
    size = tf.constant(list(pixels), tf.float32)
    kept = tf.maximum(tf.round(scale * size), 1)
    corner = tf.floor(tf.stack([down, right]) * (size - kept + 1))  # whole pixels, so that boxes follow exactly
    (height, width), (top, left) = tf.unstack(tf.cast(kept, tf.int32)), tf.unstack(tf.cast(corner, tf.int32))
    frames = clip["clip"][:, top : top + height, left : left + width]
    frames = tf.image.resize(frames, pixels)
    boxes = (clip["boxes"] - tf.tile(corner, [2])) * tf.tile(size / kept, [2])
    boxes = tf.clip_by_value(boxes, 0.0, tf.tile(size, [2]))
    inside = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1, keepdims=True)
    boxes = tf.where(inside, boxes, float("nan"))
    return {**clip, "clip": tf.cast(tf.round(frames), tf.uint8), "boxes": boxes}


def mirror(clip: dict, labels) -> dict:
    """Left and right exchanged; `labels` int32 `(K,)` is the label of each label's mirror image."""
    width = clip["clip"].shape[2]
    top, left, bottom, right = tf.unstack(clip["boxes"], axis=-1)
    boxes = tf.stack([top, width - right, bottom, width - left], axis=-1)
    label = tf.gather(labels, clip["label"])
    return {**clip, "clip": clip["clip"][:, :, ::-1], "boxes": boxes, "label": label}
