from . import explainer as explainer
from . import rules as rules
