from . import operations as operations
from . import recording as recording
from . import walk as walk
