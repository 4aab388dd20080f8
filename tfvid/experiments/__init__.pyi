from . import attribution as attribution
from . import clips as clips
from . import evaluation as evaluation
from . import explain_clips as explain_clips
from . import explain_shard as explain_shard
from . import explanation_writer as explanation_writer
from . import manifest as manifest
from . import study as study
