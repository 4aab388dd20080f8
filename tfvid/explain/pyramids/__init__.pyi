from . import back_step as back_step
from . import explainer as explainer
from . import kernels as kernels
