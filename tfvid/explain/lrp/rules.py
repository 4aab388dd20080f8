"""The rules of LRP for dense layers and convolutions, and the composites that assign them to layers.

An output z_j = sum_i c_ij, with the contributions c_ij = w_ij x_i and the bias as one more contribution, has the
relevance R_j. All rules but two have one form: input i gets

    R_i  =  sum_j  u_j max(c_ij, 0) + v_j min(c_ij, 0)

With P_j and N_j, the sums of the positive and of the negative contributions, the weights u and v are

    epsilon          u = v = R / z
    z_plus           u = R / P,                      v = 0                       also called alpha1_beta0
    alpha2_beta1     u = 2 R / P,                    v = -R / N
    gamma            u = (1 + gamma) R / (z + gamma P),   v = R / (z + gamma P)  if z > 0
                     u = R / (z + gamma N),   v = (1 + gamma) R / (z + gamma N)  if z < 0

where epsilon is added to the size of each denominator. "box" (z^B) and "flat" are for the first layer, see `linear`.

Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by LRP", PLOS ONE 2015; Montavon et al.,
"Layer-Wise Relevance Propagation: An Overview", 2019, Eqs. 10.3 to 10.5; the composites are those of zennit
(Anders et al., arXiv 2106.13200).
"""

from dataclasses import dataclass

import tensorflow as tf

RULES = ("epsilon", "z_plus", "alpha2_beta1", "gamma", "box", "flat")
FIRST_ONLY = ("box", "flat")


@dataclass(frozen=True)
class Composite:
    """The rule of each kind of layer.

    Attributes:
      convolution: for convolutions.
      dense: for dense layers and the projections of attention.
      first: for the layer that sees the pixels; None: the rule of its kind.
    """

    convolution: str
    dense: str = "epsilon"
    first: str | None = None


COMPOSITES = {
    "epsilon": Composite("epsilon"),
    "epsilon_plus": Composite("z_plus"),
    "epsilon_plus_flat": Composite("z_plus", first="flat"),
    "epsilon_alpha2_beta1": Composite("alpha2_beta1"),
    "epsilon_alpha2_beta1_flat": Composite("alpha2_beta1", first="flat"),
    "epsilon_gamma_box": Composite("gamma", first="box"),
}


def stabilized(z, epsilon: float):
    """`z` with `epsilon` added to its size; zero becomes `epsilon`."""
    return z + tf.where(z >= 0, epsilon, -epsilon)


def share_weights(rule: str, R, z, P, N, epsilon: float, gamma: float):
    """Returns the weights u of positive and v of negative contributions, see above.

    Args:
      rule: "z_plus", "alpha2_beta1" or "gamma".
      R: the relevance of the outputs.
      z: the outputs.
      P: the sums of their positive contributions.
      N: the sums of their negative contributions.
      epsilon: what is added to the size of each denominator.
      gamma: how much more the contributions with the sign of the output count.
    """
    if rule == "z_plus":
        return R / stabilized(P, epsilon), tf.zeros_like(R)
    if rule == "alpha2_beta1":
        return 2 * R / stabilized(P, epsilon), -R / (N - epsilon)
    is_positive = z > 0
    share = R / stabilized(z + gamma * tf.where(is_positive, P, N), epsilon)
    return tf.where(is_positive, 1 + gamma, 1.0) * share, tf.where(is_positive, 1.0, 1 + gamma) * share
