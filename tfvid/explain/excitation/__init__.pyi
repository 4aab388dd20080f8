from . import backprop as backprop
from . import model as model
from . import recurrent as recurrent
from . import rules as rules
