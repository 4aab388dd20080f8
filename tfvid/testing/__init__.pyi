from .check_dataset import check_dataset as check_dataset
from .check_explainer import check_explainer as check_explainer
from .check_metric import check_metric as check_metric
from .check_model import check_model as check_model
