"""Attention weights as matrices over all tokens of a clip.

A transformer may attend over all tokens at once, over time at each place and then over the places of each frame, or in
windows. As a matrix over all tokens of the clip, each of these is a square matrix whose rows sum to 1, with zeros where
tokens do not see each other. So one equation serves all of them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.network.attention import Attention
from tfvid.network.axes import PLACES, Atom, flat, size_of

INSTEAD = "use a method that needs no attention, e.g. 'grad_cam', 'layer_cam' or 'gradient'"


class Kind(NamedTuple):
    """What the tokens of an attention are; attentions of one kind follow one another in one product.

    Attributes:
      grid: (T', h', w'), the places of the tokens.
      before: the number of class tokens before them.
      after: the number of class tokens after them.
      steps: the number of frames that are attended to one by one, each with class tokens of its own; 1 for whole clips.
    """

    grid: tuple[int, int, int]
    before: int
    after: int
    steps: int


@dataclass(frozen=True)
class TokenAttention:
    """One attention, whose weights can be read as matrices over all tokens.

    Args:
      attention: a softmax over tokens, whose axes are known.

    Raises:
      ModelError: the weights do not lie on the clip in a way that is known, or queries and keys are different tokens.
    """

    attention: Attention

    def __post_init__(self):
        axes = self.attention.axes
        if axes is None:
            raise ModelError(
                f"layer {self.attention.path!r}: it is not known how its attention {self.attention.shape} lies on the "
                f"clip, as in shifted windows; {INSTEAD}"
            )
        if axes.of[-1] != axes.of[-2]:
            raise ModelError(
                f"layer {self.attention.path!r}: expected attention of tokens to themselves, got "
                f"{size_of(axes.of[-2])} queries and {size_of(axes.of[-1])} keys; {INSTEAD}"
            )
        if self._is_by_frame and [atom.kind for atom in self._others] != ["T"]:
            raise ModelError(
                f"layer {self.attention.path!r}: class tokens that see only a part of each frame, or a part of the "
                f"time, have no place on the clip; {INSTEAD}"
            )

    @property
    def _axes(self):
        assert self.attention.axes is not None  # as `__post_init__` checks
        return self.attention.axes.of

    @cached_property
    def _others(self) -> list[Atom]:
        """The places that are not attended over, such as the frames of an attention over space."""
        return [atom for axis in self._axes[:-2] for atom in axis if atom.kind not in ("", "B")]

    @cached_property
    def _class_tokens(self) -> tuple[int, int]:
        marked = [atom for atom in self._axes[-1] if atom.kind == "+"]
        return (marked[0].before, marked[0].after) if marked else (0, 0)

    @property
    def _is_by_frame(self) -> bool:
        return bool(self._others) and any(self._class_tokens)

    @cached_property
    def _tokens(self) -> list[Atom]:
        """The places of all tokens of a matrix, as they lie in it, without class tokens."""
        own = flat((self._axes[-1],))
        return own if self._is_by_frame else [*self._others, *own]

    @cached_property
    def kind(self) -> Kind:
        """What its tokens are."""
        grid = [size_of(tuple(atom for atom in self._tokens if atom.kind == place)) for place in PLACES]
        steps = size_of(tuple(self._others)) if self._is_by_frame else 1
        return Kind((grid[0], grid[1], grid[2]), *self._class_tokens, steps)

    @cached_property
    def _order(self) -> np.ndarray:
        """The place in the matrix of each token, in the order of frames, rows and columns; class tokens stay."""
        if any(atom.kind not in PLACES for atom in self._tokens):
            raise ModelError(
                f"layer {self.attention.path!r}: its attention {self.attention.shape} is over more than frames, rows "
                f"and columns; {INSTEAD}"
            )
        sizes = [atom.size for atom in self._tokens]
        order = sorted(range(len(sizes)), key=lambda n: (PLACES.index(self._tokens[n].kind), -self._tokens[n].stride))
        inner = np.arange(int(np.prod(sizes))).reshape(sizes).transpose(order).ravel()
        before, after = self._class_tokens
        count = len(inner) + before
        return np.concatenate([np.arange(before), before + inner, np.arange(count, count + after)])

    def matrices(self, weights: tf.Tensor, num_clips) -> tf.Tensor:
        """Returns weights, or gradients of them, as matrices of queries and keys.

        Args:
          weights: of the shape that `attention` has, with any number of clips.
          num_clips: B, an int or a scalar tensor.

        Returns:
          float32 `(B, steps, heads, N, N)`, N tokens in the order of frames, rows and columns, class tokens before or
          after them.
        """
        atoms = [atom for axis in self._axes for atom in axis]
        keys = len(atoms) - len(self._axes[-1])
        queries = keys - len(self._axes[-2])
        weights = tf.reshape(tf.cast(weights, tf.float32), [num_clips if a.kind == "B" else a.size for a in atoms])
        clips = [n for n in range(queries) if atoms[n].kind == "B"]
        others = [n for n in range(queries) if atoms[n].kind not in ("", "B")]
        heads = [n for n in range(queries) if not atoms[n].kind]
        weights = tf.transpose(weights, [*clips, *others, *heads, *range(queries, len(atoms))])
        apart, count = size_of(tuple(self._others)), size_of(self._axes[-1])
        num_heads = size_of(tuple(atoms[n] for n in heads))
        weights = tf.reshape(weights, (num_clips, apart, num_heads, count, count))
        if not self._is_by_frame:  # blocks along the diagonal: places that are not attended over see only themselves
            weights = tf.einsum("bphqk,pr->bhpqrk", weights, tf.eye(apart))
            weights = tf.reshape(weights, (num_clips, 1, num_heads, apart * count, apart * count))
        return tf.gather(tf.gather(weights, self._order, axis=-2), self._order, axis=-1)


def on_grid(rows: tf.Tensor, kind: Kind) -> tf.Tensor:
    """Returns the relevance of tokens at their places, without class tokens.

    Args:
      rows: float32 `(B, steps, N)`.
      kind: of the tokens.

    Returns:
      float32 `(B, T', h', w')`.
    """
    rows = rows[..., kind.before : rows.shape[-1] - kind.after]
    return tf.reshape(rows, (-1, kind.steps * kind.grid[0], *kind.grid[1:]))


def groups(attentions: list[TokenAttention]) -> list[list[TokenAttention]]:
    """Returns the attentions of a model, those over the same tokens together, in the order in which they run.

    A factorised model has two groups: first over the places of each frame, then over the frames.

    Raises:
      ModelError: the tokens of the groups do not fit one another.
    """
    found: list[list[TokenAttention]] = []
    for one in attentions:
        if found and found[-1][0].kind == one.kind:
            found[-1].append(one)
        else:
            found.append([one])
    frames = [group[0].kind.steps * group[0].kind.grid[0] for group in found]
    is_factorised = len(found) == 2 and found[1][0].kind.grid[1:] == (1, 1) and frames[0] == frames[1]
    if len(found) > 1 and not is_factorised:
        listed = ", ".join(f"{group[0].attention.path} on {group[0].kind.grid}" for group in found)
        raise ModelError(f"the attentions of the model are over different tokens: {listed}; {INSTEAD}")
    return found
