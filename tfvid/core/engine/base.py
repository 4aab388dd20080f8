"""The interface of an engine, and what happens to items that keep failing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shard:
    """A run of items with a name. The work on a shard has the same result on every machine and at every try.

    Attributes:
      name: e.g. "00003-of-00012"; shards sorted by name are in order.
      items: the items of the work, e.g. samples; they can be pickled.
    """

    name: str
    items: tuple


@dataclass(frozen=True)
class Done:
    """The result of one shard.

    Attributes:
      shard: the shard.
      value: what the work returned; None if it failed.
      error: one line, the error of the last try; "" if it succeeded.
    """

    shard: Shard
    value: Any = None
    error: str = ""


# Work on a shard. It may call its second argument, `progress`, with the number of items it has just finished.
Work = Callable[[Shard, Callable[[int], None]], object]


class Engine(ABC):
    """Runs work on shards.

    Args:
      retries: how many more times a failed shard is tried.
    """

    def __init__(self, *, retries: int = 2):
        self.retries = retries

    @abstractmethod
    def run(self, work: Work, shards: Iterable[Shard], progress: Callable[[int], None]) -> Iterator[Done]:
        """Runs `work` on all shards and yields the result of each shard when it ends, in any order.

        Args:
          work: a function of a shard and of `progress`.
          shards: the shards.
          progress: a function that the engine calls with numbers of finished items. The number is negative after a
            failed try, to take back what that try reported. The numbers add up to the items of all shards that
            succeeded.

        Raises:
          TfvidError: the work raised one; it would be the same for all shards.
        """


def finished(
    engine: Engine, work: Work, shards: Iterable[Shard], progress: Callable[[int], None] = lambda items: None
) -> Iterator[Done]:
    """Runs `work` on all shards, then on each item alone of the shards that failed, so that one item harms no other.

    Args:
      engine: the engine.
      work: see `Engine.run`.
      shards: the shards.
      progress: see `Engine.run`. The numbers add up to all items, failed ones included.

    Yields:
      A `Done` for each shard that succeeded, and for each item of the others, as a shard of one item.
    """
    failed = []
    for done in engine.run(work, shards, progress):
        if done.error and len(done.shard.items) > 1:
            failed.append(done.shard)
        else:
            yield _counted(done, progress)
    for done in engine.run(work, [single for shard in failed for single in _singles(shard)], progress):
        yield _counted(done, progress)


def _counted(done: Done, progress: Callable[[int], None]) -> Done:
    """Returns the final result `done`. Engines report items that succeeded; this reports those that failed."""
    if done.error:
        progress(len(done.shard.items))
    return done


def cut(items: list, size: int) -> list[Shard]:
    """Returns `items` as shards of `size` items; the last shard may have fewer."""
    count = -(-len(items) // size)
    return [
        Shard(f"{number:05d}-of-{count:05d}", tuple(items[number * size : (number + 1) * size]))
        for number in range(count)
    ]


def _singles(shard: Shard) -> list[Shard]:
    return [Shard(f"{shard.name}-item-{place:04d}", (item,)) for place, item in enumerate(shard.items)]
