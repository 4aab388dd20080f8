"""Which attribution method to trust for a network: every method judged by every measure, on the same clips.

    tfvid.attribution.run(config, out)     or     python scripts/benchmark_attribution.py --config ... --document ...

After Li et al., "A Comprehensive Study on Visual Explanations for Spatio-temporal Networks", arXiv 2005.00375.

    flow         what runs, clip by clip, and goes on where it was stopped
    methods      a method of the registry as clips -> maps, and the two that know nothing of the network
    measures     every measure asked the same way
    sanity       maps of a network whose weights are drawn anew
    records      one row for each network, method and clip, in Parquet
    tables       methods by measures for each network
    correlation  do measures order the methods alike?
    plots, report, document
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
