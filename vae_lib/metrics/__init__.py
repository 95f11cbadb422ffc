"""Scores of clusterings and of latents, each beside what chance alone would give.

`agreement` compares clusters with known labels, `shape` measures them in a space; `chance` scores whole seeds by all of
them, with null distributions; `comparison` holds one method against another; `disentanglement` asks how latents stand
to known factors.
"""

from vae_lib.metrics.agreement import (
    accuracy,
    ami,
    ari,
    ari_solutions,
    contingency,
    entropy,
    nmi,
    purity,
)
from vae_lib.metrics.base import NOISE, Measure, Metric, UndefinedError, coverage, without_noise
from vae_lib.metrics.chance import (
    LABEL_METRICS,
    METRICS,
    SPACE_METRICS,
    Score,
    external_scores,
    gaussian_null,
    internal_scores,
    subsample_interval,
)
from vae_lib.metrics.comparison import Comparison, compare, compare_clusterings, holm, vargha_delaney_a
from vae_lib.metrics.disentanglement import DCI, MEASURES, dci, disentanglement_scores, mig, probe, sap
from vae_lib.metrics.shape import calinski_harabasz, davies_bouldin, silhouette
