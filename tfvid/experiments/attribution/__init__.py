"""Compares attribution methods: every measure evaluates the maps of every method on the same clips.

    tfvid.attribution.run(config, out)     or     python scripts/benchmark_attribution.py --config ... --document ...

After Li et al., "A Comprehensive Study on Visual Explanations for Spatio-temporal Networks", arXiv 2005.00375.

    flow         runs everything clip by clip; a second start continues
    judge        one network: its methods explain, its measures evaluate
    methods      an explainer as a function from clips to maps, and maps that do not use the network
    measures     every metric with the same call
    sanity       maps of a network with randomised weights
    records      one row for each network, method and clip, in Parquet
    tables       methods by measures for each network
    claims       where a method beats every baseline
    correlation  rank correlation of two measures over the methods
    agreement    rank correlation of two methods' maps
    planted      networks whose decision depends on one tube, and the table of all methods
    plots, report, document
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
