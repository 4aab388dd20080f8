"""What an engine is, and what becomes of work that keeps failing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shard:
    """A run of items, known by its name: whoever does it, and however often, makes the same.

    Attributes:
      name: e.g. "00003-of-00012"; shards in their order are in the order of their names.
      items: what the work is about, e.g. samples; they can be pickled.
    """

    name: str
    items: tuple


@dataclass(frozen=True)
class Done:
    """The end of one shard.

    Attributes:
      shard: the shard.
      value: what the work returned; None where it failed.
      error: why it failed the last time, one line; "" where it did not.
    """

    shard: Shard
    value: Any = None
    error: str = ""


# Work on a shard; `progress` may be called with numbers of items just done.
Work = Callable[[Shard, Callable[[int], None]], object]


class Engine(ABC):
    """Runs work on shards.

    Args:
      retries: how often a shard that failed is tried again.
    """

    def __init__(self, *, retries: int = 2):
        self.retries = retries

    @abstractmethod
    def run(self, work: Work, shards: Iterable[Shard], progress: Callable[[int], None]) -> Iterator[Done]:
        """Yields each shard when it has ended, in any order.

        Args:
          work: called with a shard, and a function to be called with numbers of items just done.
          shards: what there is to do.
          progress: told how many items were done; less than 0 where a try failed whose items it was told of. In all
            it is told of every item of the shards that succeeded, once.

        Raises:
          TfvidError: what the work raised of that kind; it would be the same for all shards.
        """


def finished(
    engine: Engine, work: Work, shards: Iterable[Shard], progress: Callable[[int], None] = lambda items: None
) -> Iterator[Done]:
    """Runs `work` on all `shards`; of those that keep failing each item is tried alone, so that one harms no others.

    Yields:
      A `Done` for each shard that succeeded, and for each item of the others, as a shard of one. `progress` is told of
      every item once, see `Engine.run`, those that failed in the end among them.
    """
    failed = []
    for done in engine.run(work, shards, progress):
        if done.error and len(done.shard.items) > 1:
            failed.append(done.shard)
        else:
            yield _told(done, progress)
    for done in engine.run(work, [single for shard in failed for single in _singles(shard)], progress):
        yield _told(done, progress)


def _told(done: Done, progress: Callable[[int], None]) -> Done:
    """`done`, an end for good; of an item that failed nobody was told yet."""
    if done.error:
        progress(len(done.shard.items))
    return done


def cut(items: list, size: int) -> list[Shard]:
    """`items` as shards of `size`, the last one of what is left."""
    count = -(-len(items) // size)
    return [
        Shard(f"{number:05d}-of-{count:05d}", tuple(items[number * size : (number + 1) * size]))
        for number in range(count)
    ]


def _singles(shard: Shard) -> list[Shard]:
    return [Shard(f"{shard.name}-item-{place:04d}", (item,)) for place, item in enumerate(shard.items)]
