from . import explanation_table as explanation_table
from . import result_store as result_store
from . import row_store as row_store
from .result_store import Result as Result
from .result_store import ResultStore as ResultStore
from .result_store import read_results as read_results
