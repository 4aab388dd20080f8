from . import arrays as arrays
from . import foreign as foreign
from . import keras2 as keras2
from . import makes as makes
from . import onnx_model as onnx_model
from . import openvino_model as openvino_model
from . import tensorflow_model as tensorflow_model
from .makes import adapt as adapt
