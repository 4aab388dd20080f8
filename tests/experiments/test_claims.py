"""A method earns a claim only where it beats every baseline, on values that are known."""

import numpy as np
import pytest

from tfvid.experiments.attribution.claims import claims, claims_table
from tfvid.experiments.attribution.judged import Judged
from tfvid.experiments.attribution.measures import TRUTH, Measure

CLIPS = [f"clip {i}" for i in range(12)]
NOISE = np.linspace(-0.05, 0.05, 12)


def network(higher=True):
    """Baselines at 0.2 and 0.5; a method above both, one between them, one equal to the stronger."""
    names = ["random", "edges", "good", "middle", "equal"]
    levels = np.array([0.2, 0.5, 0.8, 0.4, 0.5])[:, np.newaxis] + NOISE * [[1], [-1], [0.5], [1], [-1]]
    measure = Measure("found", None, {}, TRUTH, higher, "boxes", None)
    values = (levels if higher else 1 - levels)[:, np.newaxis]
    return Judged(names, [measure], CLIPS, values, {}, None)


@pytest.mark.parametrize("higher", [True, False])
def test_only_the_method_above_all_baselines_earns_it(higher):
    found = {claim.method: claim for claim in claims(network(higher))}
    assert [name for name, claim in found.items() if claim.holds] == ["good"]
    assert {claim.strongest for claim in found.values()} == {"edges"}
    assert [found[name].difference for name in ("good", "middle", "equal")] == pytest.approx([0.3, -0.1, 0])
    assert found["good"].p == pytest.approx(3 / 2**12)  # all 12 signs are positive; the smallest of 3 methods
    assert (found["good"].delta, found["middle"].p, found["equal"].p) == (1, 1, 1)
    assert found["good"].clips == 12 and found["good"].friedman_p < 1e-6


def test_without_baselines_there_is_no_claim():
    whole = network()
    bare = Judged(whole.methods[2:], whole.measures, CLIPS, whole.values[2:], {}, None)
    assert claims(bare) == []
    assert [row["holds"] for row in claims_table({"net": whole}).rows] == ["yes", "no", "no"]
