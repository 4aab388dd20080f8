from . import planted as planted
from .flow import run as run
