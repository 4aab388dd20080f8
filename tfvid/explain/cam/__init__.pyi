from . import cam as cam
from . import features as features
from . import grad_cam as grad_cam
from . import grad_cam_plus_plus as grad_cam_plus_plus
from . import layer_cam as layer_cam
from . import saliency_tubes as saliency_tubes
from . import score_cam as score_cam
