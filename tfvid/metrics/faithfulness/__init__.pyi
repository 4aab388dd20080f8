from . import drop as drop
from . import imputation as imputation
from . import infidelity as infidelity
from . import insertion as insertion
from . import road as road
from . import scorer as scorer
from . import sensitivity as sensitivity
