"""Published architectures, random weights: torchvision's r3d_18 and swin3d_t, tf-models-official's MoViNet A0."""

import os

import numpy as np
import pytest
import tensorflow as tf

import tfvid
from tfvid.core.errors import TfvidError


def test_r3d_18():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install tfvid[makes]")
    video = pytest.importorskip("torchvision.models.video", reason="needs torchvision", exc_type=Exception)
    torch.manual_seed(0)
    net = video.r3d_18(num_classes=5).eval()
    clips = np.random.default_rng(0).random((1, 4, 32, 32, 3), np.float32)
    x = torch.from_numpy(np.moveaxis(clips, -1, 1).copy()).requires_grad_()
    features = []
    handle = net.layer3.register_forward_hook(lambda module, inputs, output: features.append(output))
    score = net(x)[0, 2]
    handle.remove()
    gradient, G = torch.autograd.grad(score, [x, features[0]])
    model = tfvid.VideoModel(net, layout="CTHW")
    found = tfvid.Gradient(model, reduce="sum")(clips, 2)
    largest = gradient.abs().max().item()
    np.testing.assert_allclose(found.attribution, gradient.sum(1), atol=1e-4 * largest)
    np.testing.assert_allclose(found.score, [score.item()], rtol=1e-4)
    expected = torch.relu((G.mean((3, 4), keepdim=True) * features[0]).sum(1)).detach().numpy()
    native = tfvid.GradCAM(model, layer="layer3")(clips, 2).native
    np.testing.assert_allclose(native, expected, atol=1e-4 * expected.max())
    default = tfvid.GradCAM(model)
    default(clips)
    assert default.layer == "layer4" or default.layer.startswith("layer")
    options = {"window": (4, 16, 16), "stride": (4, 16, 16)}
    assert np.isfinite(tfvid.explainer("occlusion", model, **options)(clips).attribution).all()
    assert tfvid.TemporalMask(model, method="search")(clips).mask.shape == (1, 4)


def test_swin3d_t():
    """Its features have their channels last: (B, T / 2, H / 4, W / 4, C), then fewer rows and columns by stage."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install tfvid[makes]")
    video = pytest.importorskip("torchvision.models.video", reason="needs torchvision", exc_type=Exception)
    torch.manual_seed(0)
    net = video.swin3d_t(num_classes=5).eval()
    clips = np.random.default_rng(0).random((1, 4, 32, 32, 3), np.float32)
    x = torch.from_numpy(np.moveaxis(clips, -1, 1).copy()).requires_grad_()
    features = []
    handle = net.features[2].register_forward_hook(lambda module, inputs, output: features.append(output))
    score = net(x)[0, 2]
    handle.remove()
    gradient, G = torch.autograd.grad(score, [x, features[0]])
    model = tfvid.VideoModel(net, layout="CTHW")
    found = tfvid.Gradient(model, reduce="sum")(clips, 2)
    np.testing.assert_allclose(found.attribution, gradient.sum(1), atol=1e-4 * gradient.abs().max().item())
    np.testing.assert_allclose(found.score, [score.item()], rtol=1e-4)
    expected = torch.relu((torch.relu(G) * features[0]).sum(-1)).detach().numpy()
    native = tfvid.LayerCAM(model, layer="features.2")(clips, 2).native
    assert native.shape == (1, 2, 4, 4)
    np.testing.assert_allclose(native, expected, atol=1e-4 * expected.max())
    default = tfvid.GradCAM(model)
    assert default(clips).native.ndim == 4 and default.layer.startswith("features")


@pytest.mark.parametrize("causal", [False, True])
def test_movinet(causal):
    pytest.importorskip("tf_keras", reason="needs Keras 2: pip install tfvid[makes]")
    reason = "needs tf-models-official, and TF_USE_LEGACY_KERAS=1"
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        pytest.skip(reason)
    movinet = pytest.importorskip("official.projects.movinet.modeling.movinet", reason=reason, exc_type=ImportError)
    from official.projects.movinet.modeling import movinet_model

    options = {"causal": True, "conv_type": "2plus1d", "use_external_states": True} if causal else {}
    backbone = movinet.Movinet(model_id="a0", **options)
    net = movinet_model.MovinetClassifier(backbone, num_classes=5, output_states=causal)
    clips = np.random.default_rng(0).random((1, 4, 32, 32, 3), np.float32)
    states = net.init_states((1, 4, 32, 32, 3)) if causal else {}
    net({"image": tf.constant(clips), **states}, training=False)
    with tf.GradientTape() as tape:
        x = tf.constant(clips)
        tape.watch(x)
        outputs = net({"image": x, **states}, training=False)
        score = (outputs[0] if causal else outputs)[:, 2]
    gradient = tf.reduce_sum(tape.gradient(score, x), -1)
    model = tfvid.VideoModel(
        net,
        clip="image",
        inputs={name: state[0].numpy() for name, state in states.items()},
        head=0 if causal else None,
        output="logits",
    )
    found = tfvid.Gradient(model, reduce="sum")(clips, 2)
    np.testing.assert_allclose(found.attribution, gradient, atol=1e-4 * np.abs(gradient).max())
    np.testing.assert_allclose(found.score, score, rtol=1e-4)
    if not causal:
        with pytest.raises(TfvidError, match="layer 'head' returns several tensors"):  # features and states
            tfvid.GradCAM(model, layer="head")(clips, 2)
        native = tfvid.GradCAM(model)(clips, 2).native
        assert native.ndim == 4 and np.isfinite(native).all()
        assert tfvid.TemporalMask(model, method="search")(clips).mask.shape == (1, 4)
