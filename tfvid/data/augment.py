"""Random augmentation of training clips: a part of the time, a crop, a mirror and other colours.

The crop, the mirror and the colours are the same for all frames of a clip.
"""

import tensorflow as tf


def augment(
    clip: dict,
    seed,
    min_scale: float,
    flip_labels: dict[int, int] | None,
    num_classes: int,
    *,
    min_length: float = 1.0,
    colour: float = 0.0,
) -> dict:
    """Crops a clip, mirrors it with a probability of one half, and changes its speed and its colours.

    A pure function of its arguments.

    Args:
      clip: one clip as in `load_dataset`, with uint8 frames `(T, H, W, 3)`.
      seed: int64 `(2,)`.
      min_scale: the crop keeps at least this share of height and of width, in (0, 1]; 1 is no crop.
      flip_labels: `VideoDataset.flip_labels`; None for no mirror.
      num_classes: K.
      min_length: the clip keeps at least this share of its frames, in (0, 1]; they are spread over T, so that it plays
        more slowly. 1 keeps the speed.
      colour: see `recolour`; 0 keeps the colours.

    Returns:
      The clip, with the same shapes and dtypes. Its boxes are cropped and mirrored with the frames, and its label is
      that of the mirrored clip. The event moves with its frames.
    """
    more = tf.random.stateless_uniform([5], tf.random.fold_in(tf.cast(seed, tf.int64), 1))
    if min_length < 1:
        clip = stretch(clip, min_length + (1 - min_length) * more[0], more[1])
    draws = tf.random.stateless_uniform([4], seed)
    if min_scale < 1:
        clip = crop(clip, min_scale + (1 - min_scale) * draws[0], draws[1], draws[2])
    if flip_labels is not None:
        labels = tf.constant([flip_labels.get(label, label) for label in range(num_classes)], tf.int32)
        clip = tf.cond(draws[3] < 0.5, lambda: mirror(clip, labels), lambda: clip)
    if colour > 0:
        clip = {**clip, "clip": recolour(clip["clip"], 1 + colour * (2 * more[2:] - 1))}
    return clip


def stretch(clip: dict, share, late) -> dict:
    """Keeps a part of the time and spreads its frames over T.

    Args:
      clip: see `augment`.
      share: share of the frames that is kept, in (0, 1]; at least two frames are kept.
      late: the place of the part, from 0 (the start) to 1 (the end).

    Returns:
      The clip. Its event is the range of the frames that were in the event; (-1, -1) if none is left.
    """
    count = clip["clip"].shape[0]
    kept = tf.minimum(tf.maximum(tf.round(share * count), 2.0), count)
    first = tf.floor(late * (count - kept + 1))
    taken = tf.cast(first + tf.round(tf.linspace(0.0, kept - 1, count)), tf.int32)
    inside = tf.cast(tf.where((taken >= clip["event"][0]) & (taken < clip["event"][1])), tf.int32)[:, 0]
    event = tf.cond(
        tf.size(inside) > 0, lambda: tf.stack([inside[0], inside[-1] + 1]), lambda: tf.constant([-1, -1], tf.int32)
    )
    frames, boxes = tf.gather(clip["clip"], taken), tf.gather(clip["boxes"], taken)
    return {**clip, "clip": frames, "boxes": boxes, "event": event}


def recolour(frames, factors):
    """Changes brightness, contrast and saturation by factors, in this order.

    Args:
      frames: uint8 `(T, H, W, 3)`.
      factors: float32 `(3,)`; 1 changes nothing. Contrast is the distance from the mean of the clip, saturation the
        distance from the grey of the pixel (ITU-R BT.601).

    Returns:
      uint8 `(T, H, W, 3)`, values beyond 0 to 255 are cut off.
    """
    brightness, contrast, saturation = tf.unstack(factors)
    colours = tf.cast(frames, tf.float32) * brightness
    mean = tf.reduce_mean(colours)
    colours = mean + contrast * (colours - mean)
    grey = tf.reduce_sum(colours * [0.299, 0.587, 0.114], axis=-1, keepdims=True)
    colours = grey + saturation * (colours - grey)
    return tf.cast(tf.round(tf.clip_by_value(colours, 0.0, 255.0)), tf.uint8)


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
