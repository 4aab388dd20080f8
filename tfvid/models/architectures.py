"""The video classifiers by name."""

from tfvid.core.registry import Registry

MODELS = Registry(
    "model",
    {
        "i3d": "tfvid.models.i3d:I3D",
        "conv_lstm": "tfvid.models.conv_lstm:ConvLSTM",
        "r2plus1d": "tfvid.models.r2plus1d:R2Plus1D",
        "cnn_lstm": "tfvid.models.cnn_lstm:CNNLSTM",
    },
    group="tfvid.models",
)
