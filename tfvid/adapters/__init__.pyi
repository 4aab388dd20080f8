from . import arrays as arrays
from . import foreign as foreign
from . import makes as makes
from . import torch_layers as torch_layers
from . import torch_model as torch_model
from .makes import adapt as adapt
