"""Reads the clips of samples in decode processes, inside a `tf.data` pipeline."""

import weakref

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, VideoError, one_line
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.settings import DataConfig
from tfvid.data.skipped import SkipLog


def read_videos(indices: tf.data.Dataset, clips: "Clips", workers: int) -> tf.data.Dataset:
    """Makes (clip, epoch) of (index, epoch), without the clips that cannot be read."""
    labels, ids = clips.labels, clips.ids
    # TensorFlow keeps every numpy_function until the process ends. A weak reference lets the decode processes end with
    # their data set, which holds the clips.
    reference = weakref.ref(clips)

    def read(index, epoch):
        frames, event, boxes, damage, ok = tf.numpy_function(
            lambda index: reference().read(index), [index], (tf.uint8, tf.int32, tf.float32, tf.string, tf.bool)
        )
        clip = {
            "clip": tf.ensure_shape(frames, clips.frames_shape),
            "label": labels[index],
            "id": ids[index],
            "event": tf.ensure_shape(event, (2,)),
            "boxes": tf.ensure_shape(boxes, clips.boxes_shape),
            "damage": tf.ensure_shape(damage, ()),
        }
        return clip, epoch, tf.ensure_shape(ok, ())

    dataset = indices.map(read, workers).filter(lambda clip, epoch, ok: ok)
    return dataset.map(lambda clip, epoch, ok: (clip, epoch), workers)


class Clips:
    """Reads the clips of one split by index, and lists those that cannot be read in a log."""

    def __init__(self, samples: list[Sample], pool: DecodePool, config: DataConfig, max_boxes: int, log: SkipLog):
        self.samples, self.pool, self.config, self.log = samples, pool, config, log
        self.labels = tf.constant([sample.label for sample in samples], tf.int32)
        self.ids = tf.constant([sample.id for sample in samples])
        self.frames_shape = (config.num_frames, *config.size, 3)
        self.boxes_shape = (config.num_frames, max_boxes, 4)

    def read(self, index: int):
        """Returns frames, event, boxes, damage, and whether the clip could be read."""
        sample = self.samples[index]
        try:
            clip = self._clip(sample)
        except VideoError as error:
            self.log.bad(sample.id, error.reason)
            frames, boxes = np.zeros(self.frames_shape, np.uint8), np.zeros(self.boxes_shape, np.float32)
            return frames, np.zeros(2, np.int32), boxes, b"", False
        except TfvidError as error:
            self.log.stop(error)
        self.log.good()
        damage = one_line(clip.damage)
        if damage:
            self.log.damage(sample.id, damage)
        return clip.frames, clip.event, clip.boxes, damage.encode(), True

    def _clip(self, sample: Sample) -> Clip:
        if sample.id in self.log.reasons:  # bad in an earlier epoch: not tried again
            raise VideoError(sample.path, self.log.reasons[sample.id])
        clip = self.pool.read(sample, self.config.num_frames, self.config.size)
        if clip.frames.shape != self.frames_shape or clip.boxes.shape != self.boxes_shape:
            came = f"frames {clip.frames.shape} and boxes {clip.boxes.shape}"  # from a data set of a user
            expected = f"{self.frames_shape} and {self.boxes_shape}"
            raise VideoError(sample.path, f"the data set returned {came}, expected {expected}")
        return clip
