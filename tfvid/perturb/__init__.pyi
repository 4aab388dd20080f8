from . import fill as fill
from . import perturbations as perturbations
from . import pyramid as pyramid
from . import temporal as temporal
from .blur import blur as blur
from .perturbations import PERTURBATIONS as PERTURBATIONS
from .temporal import freeze as freeze
from .temporal import reverse as reverse
