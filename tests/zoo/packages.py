"""Video models that other packages build, small, with random weights. A package that is missing skips the test.

Each function in `KERAS` returns a Keras model of clips `(B, 8, 32, 32, 3)`, each in `FOREIGN` a model of another make
in a `tfvid.VideoModel`.
"""

import os

import keras
import pytest
import tensorflow as tf

import tfvid

FRAMES, SIZE, CLASSES = 8, 32, 3
SHAPE = (FRAMES, SIZE, SIZE, 3)
PATCHES = {"image_size": SIZE, "image_patch_size": 8, "frames": FRAMES, "frame_patch_size": 2, "num_classes": CLASSES}
ATTENTION = {"dim": 16, "heads": 2, "mlp_dim": 32, "dim_head": 8}


def package(name):
    """The module, or the test skips. A package may fail in many ways if a package that it needs is missing."""
    return pytest.importorskip(name, reason=f"needs {name}", exc_type=Exception)


# k3im -------------------------------------------------------------------------------------------------------------


def k3im_vit():
    return package("k3im.vit_3d").ViT3DModel(**PATCHES, **ATTENTION, depth=2, pool="cls")


def k3im_simple_vit():
    return package("k3im.simple_vit_3d").SimpleViT3DModel(**PATCHES, **ATTENTION, depth=2)


def k3im_cct():
    return package("k3im.cct_3d").CCT3DModel(
        SHAPE, 2, 16, 3, 2, 1, (32, 16), stochastic_depth_rate=0.1, transformer_layers=2, num_classes=CLASSES
    )


def k3im_conv_mixer():
    """Its first layer divides by 255."""
    sizes = {"image_size": SIZE, "num_frames": FRAMES, "filters": 8, "depth": 2, "kernel_size": 3, "kernel_depth": 3}
    return package("k3im.convmixer_3d").ConvMixer3DModel(**sizes, patch_size=4, patch_depth=2, num_classes=CLASSES)


def k3im_mlp_mixer():
    return package("k3im.mlp_mixer_3d").MLPMixer3DModel(**PATCHES, dim=16, depth=2, hidden_units=16, dropout_rate=0.1)


def k3im_vivit():
    return package("k3im.vivit").ViViT(**PATCHES, **ATTENTION, spatial_depth=1, temporal_depth=1)


# KerasCV, KerasHub, classification-models-3D ----------------------------------------------------------------------


def keras_cv_swin():
    """Video Swin of two stages: windows, shifted windows and a merge of patches; logits."""
    package("keras_cv")
    from keras_cv.src.models.backbones.video_swin.video_swin_backbone import VideoSwinBackbone
    from keras_cv.src.models.classification.video_classifier import VideoClassifier

    sizes = {"embed_dim": 12, "patch_size": [2, 4, 4], "window_size": [2, 4, 4], "depths": [2, 2], "num_heads": [2, 4]}
    backbone = VideoSwinBackbone(input_shape=SHAPE, **sizes)
    return VideoClassifier(backbone, num_classes=CLASSES, activation=None)


def keras_hub_video_prism():
    """VideoPrism's video encoder, whose tokens are averaged for a dense layer."""
    hub = package("keras_hub")
    sizes = {"num_frames": FRAMES, "patch_size": 8, "hidden_dim": 16, "intermediate_dim": 32, "num_heads": 2}
    depths = {"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 0}
    backbone = hub.models.VideoPrismBackbone(**sizes, **depths, image_shape=SHAPE[1:])
    clips = keras.Input(SHAPE)
    tokens = backbone({"pixel_values": clips} if isinstance(backbone.input, dict) else clips)
    tokens = tokens["vision_embeddings"] if isinstance(tokens, dict) else tokens
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Reshape((-1, 16))(tokens))
    return keras.Model(clips, keras.layers.Dense(CLASSES)(pooled))


def resnet18_3d():
    """classification-models-3D's ResNet18 of 8 first filters; probabilities."""
    factory = package("classification_models_3D.kkeras")
    build, _ = factory.Classifiers.get("resnet18")
    net = build(input_shape=SHAPE, include_top=False, pooling="avg", weights=None, init_filters=8)
    return keras.Model(net.input, keras.layers.Dense(CLASSES, activation="softmax")(net.output))


# Other makes ------------------------------------------------------------------------------------------------------


def torchvision_r3d_18():
    package("torch").manual_seed(0)
    net = package("torchvision.models.video").r3d_18(num_classes=CLASSES).eval()
    return tfvid.VideoModel(net, layout="CTHW")


def torchvision_swin3d_t():
    package("torch").manual_seed(0)
    net = package("torchvision.models.video").swin3d_t(num_classes=CLASSES).eval()
    return tfvid.VideoModel(net, layout="CTHW")


def movinet_a0():
    net = movinet().MovinetClassifier(movinet_backbone(), num_classes=CLASSES)
    net.build((1, *SHAPE))
    return tfvid.VideoModel(net, clip="image", output="logits")


def movinet_a0_stream():
    """MoViNet's streaming build, which takes the states of earlier frames as further inputs: here, none have come."""
    backbone = movinet_backbone(causal=True, conv_type="2plus1d", use_external_states=True)
    net = movinet().MovinetClassifier(backbone, num_classes=CLASSES, output_states=True)
    states = net.init_states((1, *SHAPE))
    net({"image": tf.zeros((1, *SHAPE)), **states}, training=False)
    constants = {name: state[0].numpy() for name, state in states.items()}
    return tfvid.VideoModel(net, clip="image", inputs=constants, head=0, output="logits")


def movinet_backbone(**options):
    movinet()
    return package("official.projects.movinet.modeling.movinet").Movinet(model_id="a0", **options)


def movinet():
    package("tf_keras")
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        pytest.skip("needs tf-models-official, and TF_USE_LEGACY_KERAS=1")
    return package("official.projects.movinet.modeling.movinet_model")


KERAS = {
    build.__name__: build
    for build in (
        *(k3im_vit, k3im_simple_vit, k3im_cct, k3im_conv_mixer, k3im_mlp_mixer, k3im_vivit),
        *(keras_cv_swin, keras_hub_video_prism, resnet18_3d),
    )
}
FOREIGN = {build.__name__: build for build in (torchvision_r3d_18, torchvision_swin3d_t, movinet_a0, movinet_a0_stream)}
