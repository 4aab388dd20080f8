from . import base as base
from . import maps as maps
from . import relevance as relevance
from . import rollout as rollout
from . import tokens as tokens
