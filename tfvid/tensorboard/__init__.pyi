from . import arguments as arguments
from . import clip_json as clip_json
from . import film as film
from . import metadata as metadata
from . import plugin as plugin
from . import summary as summary
