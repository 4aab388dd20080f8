"""Moving shapes: a small synthetic data set with known event windows and boxes.

Textured objects move, meet, part or appear over a textured background, or the camera turns. Classes are named after the
object-agnostic templates of Something-something that Mänttäri et al. (ACCV 2020, section 4) compare. Most come in pairs
that are exact time reversals of one another, so a single frame does not show which of the two it is. The event takes a
random part of the clip, with rest before and after it.

A clip is a pure function of (seed, split, index). The second `domain` has other textures, other object shapes
and a shaking camera, to test robustness across domains (after Broomé et al., WACV 2023).
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from tfvid.core.arguments import whole_number
from tfvid.core.errors import TfvidError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample

# By class: the name of the function below that makes the scene, and whether it is played backwards.
CLASSES = {
    "Moving something from left to right": ("slide_right", False),
    "Moving something from right to left": ("slide_right", True),
    "Moving something up": ("slide_up", False),
    "Moving something down": ("slide_up", True),
    "Moving something and something towards each other": ("approach", False),
    "Moving something and something away from each other": ("approach", True),
    "Moving something and something past each other": ("pass_by", False),
    "Something colliding with something": ("collide", False),
    "Turning the camera left": ("turn_left", False),
    "Turning the camera right": ("turn_left", True),
    "Turning the camera up": ("turn_up", False),
    "Turning the camera down": ("turn_up", True),
    "Something appearing": ("appear", False),
    "Something disappearing": ("appear", True),
}
DOMAINS = {"a": ("disc", "square", "triangle"), "b": ("star", "ring", "cross")}
MAX_BOXES = 2
INTERVENTIONS = ("", "objects", "motion")


@dataclass
class Actor:
    """An object: its centre and its opacity at each phase of the event, 0 to 1, and whether it takes part."""

    sprite: np.ndarray  # float32 (S, S, 4): colour in [0, 1] and opacity
    path: Callable  # phase -> (y, x) in fractions of the frame
    opacity: Callable = lambda phase: 1.0
    active: bool = True


@dataclass
class Scene:
    """The contents of a clip before its frames are drawn."""

    background: np.ndarray  # float32 (2H, 2W, 3) in [0, 1]; the frame shows its middle
    actors: list[Actor]
    pan: Callable = lambda phase: (0.0, 0.0)  # phase -> shift of the picture, (y, x) in fractions of the frame


class MovingShapes(VideoDataset):
    """The built-in synthetic data set of moving shapes.

    Args:
      root: not used; there are no files.
      classes: names of the classes to keep, in the order of their labels; None for all 14.
      train: number of clips in the training split.
      validation: number of clips in the validation split.
      seed: of all random numbers.
      domain: "a", or "b" for other textures and shapes and a shaking camera.
      without: an intervention: "objects" draws each scene without the objects that take part in the event, "motion"
        draws it at rest before the event. All else stays the same, pixel by pixel. "": none.

    Raises:
      TfvidError: there is no such class, domain or intervention.
    """

    max_boxes = MAX_BOXES

    def __init__(self, root=None, *, classes=None, train=4000, validation=560, seed=0, domain="a", without=""):
        del root
        self.class_names = tuple(classes or CLASSES)
        for name in self.class_names:
            if name not in CLASSES:
                raise TfvidError(unknown("moving-shapes class", name, CLASSES))
        if domain not in DOMAINS:
            raise TfvidError(unknown("moving-shapes domain", domain, DOMAINS))
        if without not in INTERVENTIONS:
            raise TfvidError(unknown("moving-shapes intervention", without, INTERVENTIONS))
        self.sizes = {
            "train": whole_number(train, "train", 0),
            "validation": whole_number(validation, "validation", 0),
        }
        self.seed, self.domain, self.without = seed, domain, without

    @cached_property
    def reverse_labels(self) -> dict[int, int]:  # type: ignore[override]  # computed once, and never assigned
        """The label of each class played backwards; a class that is its own reversal has its own label."""
        return self._partners(lambda script, backwards: (script, not backwards))

    @cached_property
    def flip_labels(self) -> dict[int, int]:  # type: ignore[override]  # computed once, and never assigned
        """The label of each class mirrored left to right."""
        sideways = ("slide_right", "turn_left")
        return self._partners(lambda script, backwards: (script, backwards ^ (script in sideways)))

    def _partners(self, partner) -> dict[int, int]:
        labels = {CLASSES[name]: label for label, name in enumerate(self.class_names)}
        return {label: labels.get(partner(*key), label) for key, label in labels.items()}

    def samples(self, split: str) -> list[Sample]:
        if split not in self.sizes:
            raise TfvidError(unknown("split", split, self.sizes))
        count = len(self.class_names)
        return [Sample(f"{split}-{i:06d}", i % count) for i in range(self.sizes[split])]

    def read(self, sample: Sample, num_frames: int, size: tuple[int, int]) -> Clip:
        rng = np.random.default_rng([self.seed, zlib.crc32(sample.id.encode())])
        return draw_clip(self.class_names[sample.label], rng, num_frames, size, self.domain, self.without)


def draw_clip(
    class_name: str, rng, num_frames: int, size: tuple[int, int], domain: str = "a", without: str = ""
) -> Clip:
    """Draws one clip of `class_name`.

    The event takes 30 to 60 % of the clip, with at least one frame of rest before and after it. Its first and last
    frames are the first and last that differ from the rest.

    Args:
      class_name: one of `CLASSES`.
      rng: NumPy's random generator.
      num_frames: T, 4 or more.
      size: (H, W) in pixels.
      domain: one of `DOMAINS`.
      without: one of `INTERVENTIONS`; event and boxes stay those of the drawn scene, and the random numbers, too.

    Returns:
      A `Clip` with `event` and `boxes`. Only objects that take part in the event have boxes. If the camera turns,
      everything moves, and there are no boxes.

    Raises:
      TfvidError: `num_frames` is below 4.
    """
    if num_frames < 4:
        raise TfvidError(f"moving shapes need 4 frames or more for rest, event, rest; got {num_frames}")
    script, backwards = CLASSES[class_name]
    scene = SCRIPTS[script](rng, size, domain)
    start, stop = event_window(rng, num_frames)
    length = stop - start
    phases = np.clip((np.arange(num_frames) - start + 1) / (length + 1), 0.0, 1.0)
    if without == "motion":
        phases = np.full(num_frames, 1.0 if backwards else 0.0)  # also backwards: the rest before the event
    if without == "objects":
        scene.actors = [actor for actor in scene.actors if not actor.active]
    shake = rng.normal(0, 0.006, (num_frames, 2)) if domain == "b" else np.zeros((num_frames, 2))
    frames, boxes = zip(*(draw_frame(scene, p, s, size) for p, s in zip(phases, shake, strict=True)), strict=True)
    noise = rng.standard_normal((num_frames, *size, 3), np.float32)
    frames = np.stack(frames) + 0.01 * noise
    frames = (np.clip(frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    boxes, event = np.stack(boxes), np.array([start, stop], np.int32)
    if backwards:
        frames, boxes, event = frames[::-1].copy(), boxes[::-1].copy(), num_frames - event[::-1]
    return Clip(frames, event, boxes)


def event_window(rng, num_frames: int, shortest: float = 0.3, longest: float = 0.6) -> tuple[int, int]:
    """Returns a random [start, stop) of 30 to 60 % of the frames (or other shares), without the first and the last."""
    most = num_frames - 2
    low, high = (max(2, round(share * num_frames)) for share in (shortest, longest))
    length = min(int(rng.integers(low, high + 1)), most)
    start = int(rng.integers(1, num_frames - length))
    return start, start + length


# Drawing ------------------------------------------------------------------------------------------------------


def draw_frame(scene: Scene, phase: float, shake, size: tuple[int, int]):
    """Returns a frame, float32 `(H, W, 3)`, and its boxes, float32 `(MAX_BOXES, 4)`, NaN for no box."""
    height, width = size
    moved = (np.array(scene.pan(phase)) + shake) * (height, width)
    frame = shift(scene.background, moved - (height / 2, width / 2), size)
    boxes = np.full((MAX_BOXES, 4), np.nan, np.float32)
    slot = 0
    for actor in scene.actors:
        centre = np.array(actor.path(phase)) * (height, width) + moved
        opacity = float(actor.opacity(phase))
        sprite = shift(actor.sprite, centre - actor.sprite.shape[0] / 2, size)
        alpha = sprite[..., 3:] * opacity
        frame = frame * (1 - alpha) + sprite[..., :3] * alpha
        if actor.active:
            boxes[slot] = box_of(alpha[..., 0])
            slot += 1
    return frame, boxes


def shift(picture: np.ndarray, offset, size: tuple[int, int]) -> np.ndarray:
    """Shifts `picture` by `offset` = (y, x) pixels, which need not be whole, into a frame of `size`."""
    matrix = np.array([[1, 0, offset[1]], [0, 1, offset[0]]], np.float32)
    return cv2.warpAffine(picture, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def box_of(alpha: np.ndarray) -> np.ndarray:
    """Returns (top, left, bottom, right) of the pixels that are at least 5 % opaque; NaN if there are none."""
    rows, columns = np.flatnonzero((alpha > 0.05).any(1)), np.flatnonzero((alpha > 0.05).any(0))
    if not len(rows):
        return np.full(4, np.nan, np.float32)
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], np.float32)


def texture(rng, height: int, width: int, cell: float, contrast: float) -> np.ndarray:
    """Returns smooth coloured noise with bumps of about `cell` pixels, float32 `(height, width, 3)`, around zero."""
    coarse = rng.normal(0, contrast, (int(height / cell) + 2, int(width / cell) + 2, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def stripes(rng, height: int, width: int, period: float, contrast: float) -> np.ndarray:
    """Returns straight stripes at a random angle, float32 `(height, width, 1)`, around zero."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * (2 * np.pi / period) + rng.uniform(0, 2 * np.pi))
    return (contrast * np.sign(wave))[..., None].astype(np.float32)


def make_background(rng, size: tuple[int, int], domain: str) -> np.ndarray:
    height, width = 2 * size[0], 2 * size[1]
    side = min(size)
    base = rng.uniform(0.25, 0.75, 3).astype(np.float32)
    picture = base + texture(rng, height, width, side / 3, 0.08) + texture(rng, height, width, side / 10, 0.05)
    if domain == "b":
        picture = picture + stripes(rng, height, width, side / rng.uniform(3, 6), 0.06)
    return np.clip(picture, 0, 1).astype(np.float32)


def make_sprite(rng, size: tuple[int, int], domain: str, background: np.ndarray) -> np.ndarray:
    """Returns a textured object whose colour differs from the background, float32 `(S, S, 4)`."""
    side = min(size)
    radius = side * rng.uniform(0.10, 0.15)
    box = 2 * int(np.ceil(radius)) + 4
    backdrop = background.mean((0, 1))
    colour = rng.uniform(0, 1, 3)
    while np.abs(colour - backdrop).max() < 0.4:
        colour = rng.uniform(0, 1, 3)
    pattern = stripes(rng, box, box, radius * rng.uniform(0.5, 1.0), 0.15)
    if domain == "b":
        pattern = texture(rng, box, box, radius / 3, 0.15)
    alpha = outline(str(rng.choice(DOMAINS[domain])), box, radius, rng.uniform(0, 2 * np.pi))
    return np.concatenate([np.clip(colour + pattern, 0, 1), alpha[..., None]], -1).astype(np.float32)


def outline(shape: str, box: int, radius: float, turn: float) -> np.ndarray:
    """Returns the opacity of a filled, antialiased `shape`, float32 `(box, box)` in [0, 1]."""
    scale = 8  # drawn eight times larger, then averaged
    canvas = np.zeros((box * scale, box * scale), np.uint8)
    centre, reach = box * scale // 2, radius * scale

    def polygon(radii, value=255):
        angles = turn + np.arange(len(radii)) * (2 * np.pi / len(radii))
        points = centre + reach * np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(canvas, [points.astype(np.int32)], value)

    if shape == "square":
        polygon([1] * 4)
    elif shape == "triangle":
        polygon([1] * 3)
    elif shape == "star":
        polygon([1, 0.45] * 5)
    elif shape == "cross":
        polygon([1, 0.35, 1, 1, 0.35, 1, 1, 0.35, 1, 1, 0.35, 1])
    else:
        cv2.circle(canvas, (centre, centre), int(reach), 255, -1)
        if shape == "ring":
            cv2.circle(canvas, (centre, centre), int(reach * 0.5), 0, -1)
    return cv2.resize(canvas, (box, box), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


# Scripts: the scenes, played forwards ---------------------------------------------------------------------------


def line(begin, end):
    """Returns the straight path from `begin` to `end`, each (y, x)."""
    begin, end = np.array(begin), np.array(end)
    return lambda phase: begin + (end - begin) * phase


def still(place):
    return line(place, place)


def stage(rng, size, domain, actors: int, pan=None) -> tuple[Scene, list[np.ndarray]]:
    """Returns a scene with a background, and sprites for it."""
    background = make_background(rng, size, domain)
    sprites = [make_sprite(rng, size, domain, background) for _ in range(actors)]
    return Scene(background, [], pan or (lambda phase: (0.0, 0.0))), sprites


def bystander(rng, sprite) -> list[Actor]:
    """Returns an object at rest, in half of the scenes."""
    if rng.random() < 0.5:
        return []
    return [Actor(sprite, still(rng.uniform(0.15, 0.85, 2)), active=False)]


def slide(rng, size, domain, vertical: bool) -> Scene:
    scene, (mover, other) = stage(rng, size, domain, 2)
    across, distance = rng.uniform(0.2, 0.8), rng.uniform(0.35, 0.6)
    middle, drift = rng.uniform(0.4, 0.6), rng.uniform(-0.08, 0.08)
    near, far = middle - distance / 2, middle + distance / 2
    begin, end = (across - drift, near), (across + drift, far)
    if vertical:  # up: from a large y to a small one
        begin, end = (far, across - drift), (near, across + drift)
    scene.actors = [*bystander(rng, other), Actor(mover, line(begin, end))]
    return scene


def slide_right(rng, size, domain) -> Scene:
    return slide(rng, size, domain, vertical=False)


def slide_up(rng, size, domain) -> Scene:
    return slide(rng, size, domain, vertical=True)


def axis(rng):
    """Returns a centre near the middle, and a direction within 25 degrees of the horizontal, either way."""
    angle = rng.uniform(-0.43, 0.43) + np.pi * rng.integers(2)
    return rng.uniform(0.4, 0.6, 2), np.array([np.sin(angle), np.cos(angle)])


def approach(rng, size, domain) -> Scene:
    scene, sprites = stage(rng, size, domain, 2)
    centre, along = axis(rng)
    far, near = rng.uniform(0.33, 0.4), rng.uniform(0.13, 0.17)
    scene.actors = [
        Actor(sprite, line(centre + side * far * along, centre + side * near * along))
        for sprite, side in zip(sprites, (-1, 1), strict=True)
    ]
    return scene


def pass_by(rng, size, domain) -> Scene:
    scene, sprites = stage(rng, size, domain, 2)
    centre, along = axis(rng)
    lane, reach = np.array([along[1], -along[0]]) * rng.uniform(0.12, 0.18), rng.uniform(0.3, 0.38)
    scene.actors = [
        Actor(sprite, line(centre + side * (lane - reach * along), centre + side * (lane + reach * along)))
        for sprite, side in zip(sprites, (-1, 1), strict=True)
    ]
    return scene


def collide(rng, size, domain) -> Scene:
    """One object hits another at rest and stops, and the other moves on; the scene is its own time reversal."""
    scene, (striker, target) = stage(rng, size, domain, 2)
    centre, along = axis(rng)
    reach, touch = rng.uniform(0.33, 0.4), rng.uniform(0.12, 0.14)
    run, leave = (
        line(centre - reach * along, centre - touch * along),
        line(centre + touch * along, centre + reach * along),
    )
    scene.actors = [
        Actor(striker, lambda phase: run(min(1.0, 2 * phase))),
        Actor(target, lambda phase: leave(max(0.0, 2 * phase - 1))),
    ]
    return scene


def turn(rng, size, domain, direction) -> Scene:
    """The camera turns: the whole picture moves along `direction` = (y, x)."""
    distance = rng.uniform(0.25, 0.45) * np.array(direction)
    scene, sprites = stage(rng, size, domain, 2, pan=line(-distance / 2, distance / 2))
    scene.actors = [Actor(sprite, still(rng.uniform(0.2, 0.8, 2)), active=False) for sprite in sprites]
    return scene


def turn_left(rng, size, domain) -> Scene:
    return turn(rng, size, domain, (0, 1))


def turn_up(rng, size, domain) -> Scene:
    return turn(rng, size, domain, (1, 0))


def appear(rng, size, domain) -> Scene:
    scene, (ghost, other) = stage(rng, size, domain, 2)
    place = rng.uniform(0.2, 0.8, 2)
    scene.actors = [*bystander(rng, other), Actor(ghost, still(place), opacity=lambda phase: phase)]
    return scene


SCRIPTS = {f.__name__: f for f in (slide_right, slide_up, approach, pass_by, collide, turn_left, turn_up, appear)}
