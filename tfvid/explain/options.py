"""The options that all explainers share, and the signatures of explainers that pass them on.

An explainer names its own options and passes the others on to its base class:

    def __init__(self, model, *, samples: int = 25, **options: Unpack[PixelOptions]):
        super().__init__(model, **options)

Editors and type checkers read the names of the others from the `TypedDict`, Python from `full_signature`.
"""

import inspect
from collections.abc import Mapping
from typing import TypedDict

from tfvid.core.errors import unknown


class ModelOptions(TypedDict, total=False):
    """The options of `Explainer` about the inputs and outputs of the model."""

    output: str
    input_range: tuple[float, float] | str | None


class ExplainerOptions(ModelOptions, total=False):
    """The options of `Explainer`."""

    batch_size: int


def full_signature(cls: type) -> inspect.Signature:
    """Returns the signature of a class whose ``__init__`` may pass ``**options`` on to its base class.

    Args:
      cls: the class.

    Returns:
      The parameters of its ``__init__``. In place of ``**options``, those of the base class that ``__init__`` does not
      name, with their defaults there.
    """
    return _signature(cls.__mro__)


def check_options(cls: type, options: Mapping) -> None:
    """Refuses an option that an explainer does not have.

    Args:
      cls: the explainer's class.
      options: the keyword arguments of a call of the class.

    Raises:
      TypeError: "GradCAM: unknown option 'pol'; did you mean 'pool'? valid: ...".
    """
    parameters = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            raise TypeError(f"{cls.__name__}: {unknown('option', name, parameters)}")


def _signature(classes: tuple[type, ...]) -> inspect.Signature:
    """The signature of the first of `classes`, given with its base classes in the order of inheritance."""
    place = next(place for place, base in enumerate(classes) if "__init__" in vars(base))
    own = list(inspect.signature(vars(classes[place])["__init__"]).parameters.values())[1:]
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return inspect.Signature(own)
    names = {parameter.name for parameter in own}
    above = _signature(classes[place + 1 :]).parameters.values()
    passed_on = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in above if parameter.name not in names
    ]
    return inspect.Signature([*own[:-1], *passed_on])
