from .flow import run as run
