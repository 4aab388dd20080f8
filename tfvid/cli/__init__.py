"""What each script does: parse, call, write.

A module has `main(argv)`; `run_<name>` is what an installed ``tfvid-<name>`` starts.
"""

from importlib import import_module

from tfvid.cli.tensorflow_log import hide_start_up_messages
from tfvid.core.errors import command

hide_start_up_messages()  # before a command imports TensorFlow


def _runner(name: str):
    def run():
        command(lambda argv: import_module(f"tfvid.cli.{name}").main(argv))

    return run


run_prepare, run_train, run_evaluate, run_explain, run_compare, run_export, run_benchmark_attribution, run_demo = map(
    _runner, ("prepare", "train", "evaluate", "explain", "compare", "export", "benchmark_attribution", "demo")
)
