"""The base of explanations by attention: finds the attentions of a model, and reads their weights in one run."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, check_choice
from tfvid.explain.attention.tokens import INSTEAD, Kind, TokenAttention, groups, on_grid
from tfvid.explain.base import Attribution, Explainer
from tfvid.explain.cam.features import NORMALIZATIONS, normalized, on_clip
from tfvid.explain.options import ExplainerOptions
from tfvid.network.attention import attention_of, find_attention
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.network.feature_map import trace_features
from tfvid.network.tracing import named_layers, watched

READ_BY = ("auto", "class_token", "mean")


@dataclass(frozen=True)
class AttentionResult(Attribution):
    """Maps by attention.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the logit of `target`.
      attribution: float32 `(B, T, H, W)`, the maps at the clip's resolution, normalised, >= 0.
      native: float32 `(B, T', h', w')`, the relevance of each token, not normalised. h' = w' = 1 if the model attends
        over frames only.
    """

    native: np.ndarray


class AttentionOptions(ExplainerOptions, total=False):
    """The options of `AttentionExplainer`."""

    attention: Sequence[str] | None
    head_reads: str
    time: str
    normalize: str | None


class AttentionExplainer(Explainer[AttentionResult]):
    """The base of explanations by attention. A subclass implements `_rows`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, with attention over tokens of
        the clip: Keras' own layers, KerasHub's, or hand-written ones whose weights come from a softmax. It stays
        unchanged.
      attention: the layers that hold the attention, by path, in the order in which they run: layers that contain a
        softmax, or, for weights that are written in another way, layers that return the weights `(..., queries, keys)`.
        None: every softmax over tokens.
      head_reads: the token that the classifier reads: "class_token", "mean" of all tokens, or "auto", the class token
        if there is one. Of several class tokens, the outermost.
      time: how T' steps become T frames: "nearest" repeats steps; "linear" interpolates.
      normalize: "frame", "clip", "frame_range", "clip_range" or None, as for `GradCAM`.
      output: what the model returns, see `Classifier`.
      input_range: the values (low, high) that the model expects for black and white, see `Explainer`.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Attributes:
      explained: the attentions that are read, in words; None before the first call.
    """

    result_type = AttentionResult
    needs_gradients = False

    def __init__(
        self,
        model,
        *,
        attention: Sequence[str] | None = None,
        head_reads: str = "auto",
        time: str = "nearest",
        normalize: str | None = "clip",
        **options: Unpack[ExplainerOptions],
    ):
        super().__init__(model, **options)
        check_choice("head_reads", head_reads, READ_BY)
        check_choice("time", time, ("nearest", "linear"))
        check_choice("normalize", normalize, NORMALIZATIONS)
        self.attention = [attention] if isinstance(attention, str) else attention
        self.head_reads, self.time, self.normalize = head_reads, time, normalize
        self.explained: str | None = None
        self._found: dict[tuple, list[TokenAttention]] = {}  # by the shape of clips
        self._compiled = Compiled(self._maps, "gradient")

    def prepare(self, clips):
        super().prepare(clips)
        shape = tuple(clips.shape[1:])
        if shape not in self._found:
            trace = trace_features(self.classifier.model, shape)
            found = find_attention(trace) if self.attention is None else attention_of(trace, self.attention)
            if not found:
                raise ModelError(f"the model has no attention over tokens of the clip; {INSTEAD}")
            self._found[shape] = self._chosen([TokenAttention(one) for one in found])
        grids = [f"{one.attention.path} on {one.kind.grid}" for one in self._found[shape]]
        self.explained = f"attention of {', '.join(grids)}"

    def _chosen(self, found: list[TokenAttention]) -> list[TokenAttention]:
        """Returns the attentions that are read, of all that the model has."""
        groups(found)  # refuses tokens that do not fit one another
        return found

    def _compute(self, clips, target):
        return self._compiled(clips, target)

    def _maps(self, clips, target) -> dict[str, tf.Tensor]:
        """Returns the fields of the result; traced once."""
        attentions, count = self._found[tuple(clips.shape[1:])], tf.shape(clips)[0]
        logits, weights = self._read(clips, attentions)
        predicted, target = chosen_class(logits, target)
        score = class_score(logits, target)
        gradients: list = [None] * len(weights)
        if self.needs_gradients:
            gradients = tf.gradients(score, weights)
        read = {}
        for one, A, G in zip(attentions, weights, gradients, strict=True):
            G = tf.zeros_like(A) if self.needs_gradients and G is None else G  # an attention that does not count
            read[id(one)] = one.matrices(A, count), None if G is None else one.matrices(G, count)
        native = None
        for group in groups(attentions):
            rows = self._read_by_head(self._rows([read[id(one)] for one in group]), group[0].kind)
            placed = on_grid(rows, group[0].kind)
            native = placed if native is None else native * placed
        return {
            "target": target,
            "predicted": predicted,
            "score": score,
            "attribution": normalized(on_clip(native, clips, self.classifier, self.time), self.normalize),
            "native": native,
        }

    def _read(self, clips, attentions: list[TokenAttention]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Runs the model; returns the logits, and the weights of each attention."""
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        by_path = dict(named_layers(self.classifier.model))
        returned: dict[str, tf.Tensor] = {}
        with ExitStack() as stack:
            for path in [one.attention.path for one in attentions if one.attention.number is None]:
                stack.enter_context(watched(by_path[path], partial(returned.setdefault, path)))
            logits = self.classifier.logits(clips)
        softmax = [op.outputs[0] for op in graph.get_operations()[before:] if op.type == "Softmax"]
        numbers = [(one.attention.number, one.attention.path) for one in attentions]
        return logits, [returned[path] if number is None else softmax[number] for number, path in numbers]

    def _read_by_head(self, matrix: tf.Tensor, kind: Kind) -> tf.Tensor:
        """Returns the rows of the tokens that the classifier reads: `(B, steps, N)` of `(B, steps, N, N)`."""
        has_class = kind.before + kind.after > 0
        if self.head_reads == "class_token" and not has_class:
            raise ModelError("head_reads='class_token': the model has no class token; expected 'mean' or 'auto'")
        if self.head_reads == "mean" or not has_class:
            places = matrix[..., kind.before : matrix.shape[-2] - kind.after, :]
            return tf.reduce_mean(places, axis=-2)
        return matrix[..., 0 if kind.before else -1, :]

    @abstractmethod
    def _rows(self, read: list[tuple]) -> tf.Tensor:
        """Returns the relevance of each token for each token, float32 `(B, steps, N, N)`.

        Args:
          read: for each attention, in the order in which they run: its weights `(B, steps, heads, N, N)`, and the
            gradients of the score with respect to them, or None.
        """
