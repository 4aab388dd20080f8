"""What a method by the features of a layer explains: the layer, which of its uses, and how its features lie."""

from dataclasses import dataclass

import keras

from tfvid.core.errors import ModelError
from tfvid.explain.cam.find_layer import Chosen, of
from tfvid.explain.cam.uses import chosen_uses, find_uses
from tfvid.network.feature_map import FeatureMap, FeatureTrace


@dataclass(frozen=True)
class Explained:
    """A layer, for clips of one shape.

    Attributes:
      chosen: the layer, and whether its output or its input is explained.
      uses: for each use that is explained, the numbers of the layer's calls that it consists of.
      count: the number of all uses.
      maps: how the features of each call of the layer lie on the clip.
      words: the layer and its use in words.
    """

    chosen: Chosen
    uses: list[list[int]]
    count: int
    maps: list[FeatureMap | None]
    words: str

    @property
    def has_time(self) -> bool:
        """Whether its features have several time steps."""
        return len(self.uses[0]) > 1 or any(found is not None and found.has_time for found in self.maps)

    def of_use(self, use: list[int]) -> list[FeatureMap]:
        """Returns how the features of each call of a use lie on the clip.

        Raises:
          ModelError: that is not known for one of the calls.
        """
        found = [self.maps[number] for number in use]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            raise ModelError(
                f"layer {self.chosen.path!r}: it is not known how the features of its call {use[found.index(None)]} "
                "lie on the clip; choose another one, call=..."
            )
        return known


def explained(
    model: keras.Model, trace: FeatureTrace, clip_shape: tuple, chosen: Chosen, call: int | str = "sum"
) -> Explained:
    """Returns what is explained of the layer `chosen`.

    Args:
      model: the model.
      trace: its layer calls, from `trace_features`, for clips of this shape.
      clip_shape: `(T, H, W, C)`.
      chosen: the layer, from `find_layer`.
      call: "sum" for all uses of the layer, or the number of one.
    """
    maps = [of(one, chosen.at) for one in trace.calls if one.layer is chosen.layer]
    uses = find_uses(model, trace.calls, chosen.layer, clip_shape)
    words = chosen.words
    if len(uses) > 1:
        words += f", sum of {len(uses)} calls" if call == "sum" else f", call {call} of 0 to {len(uses) - 1}"
    some = next(found for found in maps if found is not None)
    if some.is_of_tokens or chosen.at == "input":
        words += f", tokens on {some.grid}"
        if some.class_tokens:
            words += f" without {some.class_tokens} class token{'s'[: some.class_tokens > 1]}"
    return Explained(chosen, chosen_uses(uses, call, chosen.path), len(uses), maps, words)


def says_nothing_of_time(found: Explained, clip_shape: tuple) -> str:
    """Returns a warning if the features have one time step for several frames, or ""."""
    if found.has_time or clip_shape[0] == 1:
        return ""
    return (
        f"{found.chosen.words}: its features have one time step for {clip_shape[0]} frames, so the map is the same for "
        "all frames; choose an earlier layer, layer=..., to tell them apart"
    )
