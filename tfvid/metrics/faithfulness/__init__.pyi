from . import drop as drop
from . import infidelity as infidelity
from . import insertion as insertion
from . import scorer as scorer
from . import sensitivity as sensitivity
