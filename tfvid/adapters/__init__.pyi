from . import arrays as arrays
from . import foreign as foreign
from . import makes as makes
from .makes import adapt as adapt
