"""Interventions: changes of a clip that take one kind of evidence away. The scores of the changed clips show its use.

An intervention is a function ``(clip, scene, rng) -> clip`` of clips, float32 `(T, H, W, C)` in [0, 1].

Swapped backgrounds and static foregrounds are those of SCUBA and SCUFO: Li et al., "Mitigating and Evaluating Static
Bias of Action Representations in the Background and the Foreground", ICCV 2023, section 4. There, backgrounds are
pictures of scenes and stripes; here, they are those of clips of other classes. The changes of the order of frames are
after Mänttäri et al., ACCV 2020, section 5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tfvid.experiments.audit.scene import Scene

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601
AS_IS = "as_is"
ONE_FRAME = "one_frame"


@dataclass(frozen=True)
class Intervention:
    """An intervention.

    Attributes:
      words: what it does to a clip.
      change: the function.
      needs_other: whether it needs the background of a clip of another class.
    """

    words: str
    change: Callable[[np.ndarray, Scene, np.random.Generator], np.ndarray]
    needs_other: bool = False


def as_is(clip, scene, rng):
    """Returns the clip unchanged."""
    return clip


def reverse(clip, scene, rng):
    """Plays the clip backwards."""
    return clip[::-1]


def shuffle(clip, scene, rng):
    """Puts the frames in a random order."""
    return clip[rng.permutation(len(clip))]


def repeat_one_frame(clip, scene, rng):
    """Repeats the middle frame, T // 2, at all times."""
    return np.repeat(clip[len(clip) // 2][np.newaxis], len(clip), axis=0)


def freeze_middle(clip, scene, rng):
    """Stops the motion in the middle third: its frames show the frame before them."""
    frames = np.arange(len(clip))
    start, stop = len(clip) // 3, len(clip) - len(clip) // 3
    frames[start:stop] = max(start - 1, 0)
    return clip[frames]


def swap_background(clip, scene, rng):
    """Puts the foreground over the still background of a clip of another class (SCUBA)."""
    return np.where(scene.foreground[..., np.newaxis], clip, scene.other)


def swap_background_of_one_frame(clip, scene, rng):
    """Swaps the background and repeats the middle frame: no motion is left (SCUFO)."""
    return repeat_one_frame(swap_background(clip, scene, rng), scene, rng)


def remove_foreground(clip, scene, rng):
    """Shows the clip's own still background in place of its foreground."""
    return np.where(scene.foreground[..., np.newaxis], scene.background, clip)


def take_colour(clip, scene, rng):
    """Makes the clip grey; a clip of one channel stays as it is."""
    return np.repeat((clip @ GREY)[..., np.newaxis], 3, axis=-1) if clip.shape[-1] == 3 else clip


def blur(clip, scene, rng):
    """Blurs each frame with a Gaussian of 1/32 of the shorter side, so that texture goes and shapes stay."""
    sigma = min(clip.shape[1:3]) / 32
    frames = [cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for frame in clip]
    return np.stack(frames).reshape(clip.shape)  # OpenCV drops the axis of a single channel


def change_speed(clip: np.ndarray, speed: float) -> np.ndarray:
    """Plays the clip at another speed about its middle; the first and the last frame fill the ends.

    Frame t shows frame ``round(c + speed (t - c))`` with c = (T - 1) / 2, cut to the clip; halves are rounded up.
    """
    middle = (len(clip) - 1) / 2
    frames = np.floor(middle + speed * (np.arange(len(clip)) - middle) + 0.5)
    return clip[np.clip(frames, 0, len(clip) - 1).astype(int)]


def slow_down(clip, scene, rng):
    """Plays the middle half of the clip at half its speed."""
    return change_speed(clip, 0.5)


def speed_up(clip, scene, rng):
    """Plays the clip at twice its speed, in the middle half of the time."""
    return change_speed(clip, 2.0)


def shift(clip, scene, rng):
    """Starts one frame later and repeats the last frame."""
    return np.concatenate([clip[1:], clip[-1:]])


# By name, in the order of tables.
INTERVENTIONS = {
    AS_IS: Intervention("the clip as it is", as_is),
    "reversed": Intervention("played backwards", reverse),
    "shuffled": Intervention("frames in a random order", shuffle),
    ONE_FRAME: Intervention("the middle frame repeated", repeat_one_frame),
    "frozen_middle": Intervention("motion stopped in the middle third", freeze_middle),
    "background_swapped": Intervention("background of another class", swap_background, needs_other=True),
    "background_swapped_one_frame": Intervention(
        "background of another class, the middle frame repeated", swap_background_of_one_frame, needs_other=True
    ),
    "foreground_removed": Intervention("foreground replaced by the clip's own background", remove_foreground),
    "grey": Intervention("without colour", take_colour),
    "blurred": Intervention("blurred", blur),
    "half_speed": Intervention("at half the speed", slow_down),
    "double_speed": Intervention("at twice the speed", speed_up),
    "shifted": Intervention("started one frame later", shift),
}
