from . import graph as graph
from . import loading as loading
from . import saving as saving
from .loading import Exported as Exported
from .loading import load as load
from .saving import save as save
