"""Options that an explainer passes on to its base class: its signature names them all, and each reaches its place."""

import inspect
from typing import Unpack

import pytest
import toy_models

from tfvid.explain import EXPLAINERS
from tfvid.explain.options import ExplainerOptions, full_signature
from tfvid.explain.pixels.gradients import Gradient


class Plain:
    def __init__(self, model, *, size=1, output="auto"):
        self.given = (model, size, output)


class Mixin:
    pass


class Between(Mixin, Plain):
    def __init__(self, model, steps=(1, 2), *, size=3, **options):
        super().__init__(model, size=size, **options)


class Last(Between):
    def __init__(self, model, **options):
        super().__init__(model, **options)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Plain, "(model, *, size=1, output='auto')"),
        (Between, "(model, steps=(1, 2), *, size=3, output='auto')"),
        (Last, "(model, *, steps=(1, 2), size=3, output='auto')"),
    ],
)
def test_signatures_by_hand(cls, expected):
    assert str(full_signature(cls)) == expected


@pytest.mark.parametrize("method", [*EXPLAINERS])
def test_every_option_is_named_and_documented(method):
    cls = EXPLAINERS.find(method)
    parameters = inspect.signature(cls).parameters.values()
    assert all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    documented = inspect.getdoc(cls) or ""
    missing = [parameter.name for parameter in parameters if f"\n  {parameter.name}: " not in documented]
    assert not missing, f"{method}: no line in the docstring for {missing}"


def test_a_users_own_explainer_has_the_full_signature():
    class Scaled(Gradient):
        def __init__(self, model, *, scale: float = 2.0, **options: Unpack[ExplainerOptions]):
            super().__init__(model, **options)

    assert list(inspect.signature(Scaled).parameters) == [
        *("model", "scale", "reduce", "output", "input_range", "batch_size"),
    ]
    explain = Scaled(toy_models.build("functional"), reduce="sum", batch_size=3)
    assert (explain.reduce, explain.batch_size) == ("sum", 3)


@pytest.mark.parametrize("method", ["step", "grad_cam", "lime"])
def test_an_option_that_does_not_exist_names_the_explainer_and_the_nearest_option(method):
    cls = EXPLAINERS.find(method)
    with pytest.raises(TypeError, match=rf"^{cls.__name__}: unknown option 'batchsize'; did you mean 'batch_size'"):
        cls(toy_models.build("functional"), batchsize=3)
