"""LRP equals zennit's on copied weights of a small 3-D network. Skipped where torch or zennit is not installed."""

import keras
import numpy as np
import pytest
import toy_models
from keras import layers

from tfvid.explain.lrp.explainer import LRP

torch = pytest.importorskip("torch", reason="torch is not installed: pip install tfvid[peers]")
pytest.importorskip("zennit", reason="zennit is not installed: pip install tfvid[peers]")


def ours_and_theirs(pool="Max"):
    """Convolution, batch norm, ReLU, max-pool, convolution, ReLU, mean, two dense layers; random weights and biases."""
    keras.utils.set_random_seed(0)
    body = [
        layers.Conv3D(6, 3, padding="same"),
        layers.BatchNormalization(epsilon=1e-7),  # zennit leaves a norm of variance 1 + epsilon behind
        layers.ReLU(),
        {"Max": layers.MaxPooling3D, "Avg": layers.AveragePooling3D}[pool]((1, 2, 2)),
        layers.Conv3D(8, (2, 3, 3), strides=(2, 1, 1), activation="relu"),
        layers.AveragePooling3D((1, 2, 2)),
        layers.GlobalAveragePooling3D(),
        layers.Dense(7, activation="relu"),
        layers.Dense(3),
    ]
    model = keras.Sequential([keras.Input(toy_models.SHAPE), *body])
    rng = np.random.default_rng(1)
    first, norm, _, _, second, _, _, dense, head = body
    for layer in (first, second, dense, head):
        layer.set_weights([w + rng.normal(0, 0.1, w.shape) for w in layer.get_weights()])
    norm.set_weights([rng.normal(0, 1, 6), *rng.normal(0, 0.1, (2, 6)), rng.uniform(0.5, 2, 6)])
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv3d(3, 6, 3, padding=1),
        nn.BatchNorm3d(6, eps=norm.epsilon),
        nn.ReLU(),
        getattr(nn, f"{pool}Pool3d")((1, 2, 2)),
        nn.Conv3d(6, 8, (2, 3, 3), stride=(2, 1, 1)),
        nn.ReLU(),
        nn.AvgPool3d((1, 2, 2)),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(8, 7),
        nn.ReLU(),
        nn.Linear(7, 3),
    ).eval()
    with torch.no_grad():
        for theirs, layer in ((net[0], first), (net[4], second), (net[9], dense), (net[11], head)):
            kernel, bias = layer.get_weights()
            axes = (4, 3, 0, 1, 2) if kernel.ndim == 5 else (1, 0)
            theirs.weight.copy_(torch.from_numpy(kernel.transpose(axes).copy()))
            theirs.bias.copy_(torch.from_numpy(bias))
        for theirs, weight in zip(
            (net[1].weight, net[1].bias, net[1].running_mean, net[1].running_var), norm.get_weights(), strict=True
        ):
            theirs.copy_(torch.from_numpy(weight))
    return model, net


def composite_of_zennit(name):
    from zennit import composites
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.rules import Epsilon
    from zennit.types import Convolution

    options = {"canonizers": [SequentialMergeBatchNorm()]}
    if name == "epsilon_gamma_box":
        shape = (1, 3, *toy_models.SHAPE[:3])
        return composites.EpsilonGammaBox(low=torch.zeros(shape), high=torch.ones(shape), **options)
    if name == "epsilon":
        base = composites.layer_map_base()
        return composites.LayerMapComposite([*base, (Convolution, Epsilon()), (torch.nn.Linear, Epsilon())], **options)
    kind = "".join(word.capitalize() for word in name.split("_"))
    return getattr(composites, kind)(**options)


@pytest.mark.parametrize(
    "name",
    [
        *("epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma_box"),
        *("epsilon_plus_flat", "epsilon_alpha2_beta1_flat"),
    ],
)
def test_maps_equal_those_of_zennit(name):
    from zennit.attribution import Gradient

    (model, net), clips = ours_and_theirs(), toy_models.clips(2)
    ours = LRP(model, name)(clips, 1)
    data = torch.from_numpy(clips.transpose(0, 4, 1, 2, 3).copy()).requires_grad_()
    with Gradient(model=net, composite=composite_of_zennit(name)) as attribute:
        scores, relevance = attribute(data, lambda scores: scores * torch.eye(3)[[1, 1]])
    np.testing.assert_allclose(ours.score, scores.detach()[:, 1], atol=1e-5)
    theirs = relevance.detach().numpy().sum(axis=1)
    assert np.abs(theirs).max() > 1e-4
    difference = np.abs(ours.attribution - theirs).max() / np.abs(theirs).max()
    print(f"{name}: largest difference {difference:.1e} of the largest relevance")
    assert difference < 1e-4
