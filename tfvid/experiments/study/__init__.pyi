from . import methods as methods
from .flow import compare as compare
from .flow import run as run
