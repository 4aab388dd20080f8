"""A PyTorch model's scores, gradients and features equal PyTorch's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvid

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install tfvid[makes]")
nn = torch.nn
SHAPE = (6, 8, 8, 3)


def network(seed=0, head=None):
    torch.manual_seed(seed)
    parts = [nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(inplace=True), nn.MaxPool3d((1, 2, 2))]
    net = nn.Sequential(*parts, nn.Flatten(), *(head or [nn.Linear(4 * 6 * 4 * 4, 3)]))
    net[1].running_mean.uniform_()
    net[1].running_var.uniform_(0.5, 1)
    return net.eval()


def clips(num_clips=2, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).random((num_clips, *shape), np.float32)


def of_clips(net, shape=SHAPE):
    """A Keras model of clips around a module of `(B, C, T, H, W)`."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, tfvid.adapt(net)(keras.ops.transpose(inputs, (0, 4, 1, 2, 3))))


def test_a_described_module():
    net, values = network(), clips()
    model = tfvid.VideoModel(net, layout="CTHW", input_range=(-1, 1))
    found = tfvid.Gradient(model, reduce="sum")(values, 1)
    np.testing.assert_allclose(found.attribution, 2 * own_gradient(net, values * 2 - 1, 1).sum(-1), atol=1e-5)
    native = tfvid.GradCAM(model, layer="2")(values, 1).native
    np.testing.assert_allclose(native, own_grad_cam(net, 2, values * 2 - 1, 1), atol=1e-5)


def to_torch(values):
    return torch.from_numpy(np.moveaxis(values, -1, 1).copy())


def own_gradient(net, values, target):
    x = to_torch(values).requires_grad_()
    net(x)[:, target].sum().backward()
    return np.moveaxis(x.grad.numpy(), 1, -1)


def test_scores_are_pytorchs():
    net, values = network(), clips()
    expected = net(to_torch(values)).detach().numpy()
    np.testing.assert_allclose(of_clips(net)(values), expected, atol=1e-6)
    np.testing.assert_allclose(of_clips(net).predict(values, verbose=0), expected, atol=1e-5)


def test_the_gradient_of_a_linear_model_is_its_weights():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))
        net[1].bias.copy_(torch.tensor([0.5, 0.0]))
    x = tf.constant([[[[[0.1]]], [[[0.2]]]]])  # (1, 2, 1, 1, 1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = tfvid.adapt(net)(x)
    np.testing.assert_allclose(scores, [[1.0, -0.5]], atol=1e-6)
    np.testing.assert_allclose(np.ravel(tape.jacobian(scores, x)), [1, 2, 3, -4], atol=1e-6)


def test_gradients_are_autograds():
    net, values = network(), clips()
    found = tfvid.Gradient(of_clips(net), reduce="sum")(values, 1)
    np.testing.assert_allclose(found.attribution, own_gradient(net, values, 1).sum(-1), atol=1e-6)
    np.testing.assert_allclose(found.score, net(to_torch(values))[:, 1].detach(), atol=1e-6)


def test_gradients_in_a_loop_of_the_graph():
    net, x = network(), tf.constant(np.moveaxis(clips(), -1, 1))
    model = tfvid.adapt(net)

    @tf.function
    def ascent(x):
        for _ in tf.range(3):
            with tf.GradientTape() as tape:
                tape.watch(x)
                score = tf.reduce_sum(model(x)[:, 0])
            x += 0.1 * tape.gradient(score, x)
        return x

    expected = torch.from_numpy(x.numpy())
    for _ in range(3):
        expected = expected.detach().requires_grad_()
        expected = expected + 0.1 * torch.autograd.grad(net(expected)[:, 0].sum(), expected)[0]
    np.testing.assert_allclose(ascent(x), expected.detach(), atol=1e-5)


def own_grad_cam(net, at, values, target):
    """Grad-CAM with a weight for each frame, by hand."""
    A = net[: at + 1](to_torch(values)).detach().requires_grad_()
    G = torch.autograd.grad(net[at + 1 :](A.clone())[:, target].sum(), A)[0]
    return torch.relu((G.mean((3, 4), keepdim=True) * A).sum(1)).detach().numpy()


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_grad_cam_of_a_module_by_its_name(at):
    net, values = network(), clips()
    found = tfvid.GradCAM(of_clips(net), layer=str(at))(values, 2)
    np.testing.assert_allclose(found.native, own_grad_cam(net, at, values, 2), atol=1e-5)


def test_the_default_layer_is_the_last_that_makes_features():
    explainer = tfvid.GradCAM(of_clips(network()))
    explainer(clips())
    assert explainer.layer.endswith("/2")  # the ReLU, not the pool behind it


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv(x)
        y += x
        return self.relu(y)


class Residual(nn.Module):
    """Operations in place after a module has returned, and a module used twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv3d(3, 4, 1), Block(), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.block(self.block(self.stem(x))).mean((2, 3, 4)))


def test_a_module_used_twice_and_changed_in_place():
    torch.manual_seed(3)
    net, values = Residual().eval(), clips()
    found = [tfvid.GradCAM(of_clips(net), layer="block", call=call)(values, 0).native for call in (0, 1)]
    with torch.no_grad():
        first = net.block(net.stem(to_torch(values)))
    for number, native in enumerate(found):
        A = (first.clone() if number == 0 else net.block(first.clone()).detach()).requires_grad_()
        after = net.block(A.clone()) if number == 0 else A.clone()
        G = torch.autograd.grad(net.head(after.mean((2, 3, 4)))[:, 0].sum(), A)[0]
        expected = torch.relu((G.mean((3, 4), keepdim=True) * A).sum(1)).detach()
        np.testing.assert_allclose(native, expected, atol=1e-5)


def test_the_outermost_of_modules_with_one_output_is_the_default():
    torch.manual_seed(3)
    explainer = tfvid.GradCAM(of_clips(Residual()))
    explainer(clips())
    assert explainer.explained == "residual/block, sum of 2 calls"


@pytest.mark.parametrize("name", ["layer_cam", "grad_cam_plus_plus", "score_cam"])
def test_the_other_class_activation_maps(name):
    found = tfvid.explainer(name, of_clips(network()), layer="2")(clips())
    assert found.native.shape == (2, 6, 8, 8) and found.native.max() > 0


class ChannelsLast(nn.Module):
    """As Swin's blocks: features `(B, T, H, W, K)`."""

    def __init__(self):
        super().__init__()
        self.patch, self.norm, self.mlp, self.head = (
            nn.Conv3d(3, 5, 2, 2),
            nn.LayerNorm(5),
            nn.Linear(5, 5),
            nn.Linear(5, 3),
        )

    def forward(self, x):
        return self.head(self.mlp(self.norm(self.patch(x).permute(0, 2, 3, 4, 1))).mean((1, 2, 3)))


def test_features_with_the_channels_last():
    net, values = ChannelsLast(), clips()
    A = net.mlp(net.norm(net.patch(to_torch(values)).permute(0, 2, 3, 4, 1))).detach()
    expected = torch.relu((net.head.weight[1] / A[0, ..., 0].numel() * A).sum(-1)).detach()
    found = tfvid.GradCAM(of_clips(net), layer="mlp")(values, 1)
    np.testing.assert_allclose(found.native, expected, atol=1e-6)
    assert tfvid.GradCAM(of_clips(net), layer="patch")(values, 1).native.shape == (2, 3, 4, 4)


def test_masks_and_occlusion():
    model, values = of_clips(network()), clips()
    for method in ("gradient", "search"):
        found = tfvid.TemporalMask(model, method=method, **({"iterations": 5} if method == "gradient" else {}))(values)
        assert found.mask.shape == (2, 6)

    def function(clips):
        return network()(to_torch(clips)).detach().numpy()

    options = {"window": (2, 4, 4), "stride": (2, 4, 4)}
    expected = tfvid.explainer("occlusion", function, **options)(values, 0).attribution
    np.testing.assert_allclose(
        tfvid.explainer("occlusion", model, **options)(values, 0).attribution, expected, atol=1e-5
    )


def test_the_module_stays_as_it_was():
    net = network().train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    tfvid.GradCAM(of_clips(net), layer="0")(clips())
    assert [module.training for module in net] == [True, False, True, True, True, True] and net.training
    assert not net[0].weight.requires_grad and net[5].weight.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_weights_are_read_at_each_run():
    net, values = network(), clips()
    model = of_clips(net)
    explainer = tfvid.Gradient(model, reduce="sum")
    explainer(values, 0)
    with torch.no_grad():
        net[5].weight.mul_(2)
    np.testing.assert_allclose(explainer(values, 0).attribution, own_gradient(net, values, 0).sum(-1), atol=1e-6)
    assert explainer.traces == 1


def test_double_precision():
    net, values = network().double(), clips()
    expected = net(to_torch(values).double()).detach().numpy()
    np.testing.assert_allclose(of_clips(net)(values), expected, atol=1e-6)


class Several(nn.Module):
    def forward(self, fast, slow, scale=1.0):
        return {"sum": (fast.mean((1, 2, 3, 4)) + slow.mean((1, 2, 3, 4)) * scale)[:, None], "none": None}


def test_several_inputs_and_named_outputs():
    fast, slow = (tf.constant(np.moveaxis(clips(seed=seed), -1, 1)) for seed in (0, 1))
    model, expected = tfvid.adapt(Several()), np.mean(fast, (1, 2, 3, 4)) + np.mean(slow, (1, 2, 3, 4))
    assert set(model((fast, slow))) == {"sum"}
    np.testing.assert_allclose(model((fast, slow))["sum"][:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(model({"fast": fast, "slow": slow})["sum"][:, 0], expected, atol=1e-6)


def test_frames_folded_into_the_batch():
    class Shifted(nn.Module):
        def forward(self, frames):  # (B * 8, C, H, W)
            return frames.view(-1, 8, 12).mean(1)[:, :3]

    frames = np.random.default_rng(0).random((16, 3, 2, 2), np.float32)
    expected = frames.reshape(2, 8, 12).mean(1)[:, :3]
    np.testing.assert_allclose(tfvid.adapt(Shifted())(tf.constant(frames)), expected, atol=1e-6)


def test_a_second_gradient_is_refused():
    model, x = tfvid.adapt(network()), tf.constant(np.moveaxis(clips(), -1, 1))
    with pytest.raises(tfvid.ModelError, match="a PyTorch model has gradients of first order only"):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                score = tf.reduce_sum(model(x) ** 2)
            gradient = inner.gradient(score, x)
        outer.gradient(gradient, x)


def test_torchscript_has_no_layers():
    scripted = torch.jit.trace(network(), torch.zeros(1, 3, *SHAPE[:3]))
    model, values = of_clips(scripted), clips()
    np.testing.assert_allclose(model(values), network()(to_torch(values)).detach(), atol=1e-5)
    with pytest.raises(tfvid.ModelError, match="modules of TorchScript have no forward hooks; use a method"):
        tfvid.GradCAM(model)(values)


def test_clips_that_the_module_does_not_take():
    class OfClips(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, clips):
            return self.net(clips.movedim(-1, 1))

    values = clips(shape=(6, 8, 8, 5))
    with pytest.raises(tfvid.ModelError, match="cannot be run on one input, clips .*expected input.* 3 channels"):
        tfvid.Gradient(OfClips())(values)


def test_a_module_that_takes_clips_needs_no_adapting():
    class OfClips(nn.Module):
        def forward(self, clips):
            return torch.stack([clips.mean((1, 2, 3, 4)), clips[:, 0].amax((1, 2, 3))], 1)

    values = clips()
    assert tfvid.Gradient(OfClips())(values, 0).attribution == pytest.approx(1 / np.prod(SHAPE))
    assert tfvid.explainer("occlusion", OfClips(), window=(6, 8, 8))(values).attribution.shape == (2, *SHAPE[:3])
