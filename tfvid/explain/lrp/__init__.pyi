from . import explainer as explainer
from . import linear as linear
from . import propagation as propagation
from . import rules as rules
