"""Who prefers the tuned shape: the paper's Table 3 and Cohen's h (section 4.2.1).

When a synthetic annotator answered, the table is a simulated one and must be called so:
``Preference.title`` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sigmaflow.statistics.intervals import check_confidence, cohens_h, wilson

OUTCOMES = ("tuned", "original", "none")


@dataclass(frozen=True)
class Preference:
    """Shares of ``n`` answers with Wilson intervals, and Cohen's h of tuned against original.

    The intervals take answers as independent; where several people answer the same question they
    are too narrow. ``sign_p``: two-sided sign test among the decided answers (nan without any).
    """

    n: int
    tuned: int
    original: int
    none: int
    share_tuned: float
    share_tuned_low: float
    share_tuned_high: float
    share_original: float
    share_original_low: float
    share_original_high: float
    share_none: float
    share_none_low: float
    share_none_high: float
    cohens_h: float
    cohens_h_low: float
    cohens_h_high: float
    sign_p: float
    simulated: bool
    confidence: float

    @property
    def title(self) -> str:
        """What a caption must say."""
        who = "simulated by the synthetic annotator" if self.simulated else "answered by people"
        return f"Preference between original and tuned shapes, {who} (n = {self.n})"

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def preference(
    tuned: int, original: int, none: int = 0, *, simulated: bool, confidence: float = 0.95
) -> Preference:
    """From counts of answers. ``simulated`` has no default: it must be said who answered.

    The interval of h comes from the delta method on the arcsine scale for two shares of one
    multinomial sample.
    """
    from scipy.stats import binomtest, norm

    check_confidence(confidence)
    counts = (int(tuned), int(original), int(none))
    n = sum(counts)
    if min(counts) < 0 or n == 0:
        raise ValueError(f"counts must be >= 0 and not all 0, got {counts}")
    shares = [count / n for count in counts]
    bounds = [wilson(count, n, confidence) for count in counts]
    h = cohens_h(shares[0], shares[1])
    rest = (1 - shares[0]) * (1 - shares[1])
    # With nobody undecided the ratio is 1; so is its limit where a share is 0 or 1.
    ratio = shares[0] * shares[1] / rest if rest > 0 else 1.0
    half = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt((2 + 2 * math.sqrt(ratio)) / n)
    decided = counts[0] + counts[1]
    sign_p = float(binomtest(counts[0], decided).pvalue) if decided else math.nan
    return Preference(
        n=n,
        tuned=counts[0],
        original=counts[1],
        none=counts[2],
        share_tuned=shares[0],
        share_tuned_low=bounds[0][0],
        share_tuned_high=bounds[0][1],
        share_original=shares[1],
        share_original_low=bounds[1][0],
        share_original_high=bounds[1][1],
        share_none=shares[2],
        share_none_low=bounds[2][0],
        share_none_high=bounds[2][1],
        cohens_h=h,
        cohens_h_low=max(-math.pi, h - half),
        cohens_h_high=min(math.pi, h + half),
        sign_p=sign_p,
        simulated=bool(simulated),
        confidence=confidence,
    )


def preference_of(
    answers: Iterable[str], *, simulated: bool, confidence: float = 0.95
) -> Preference:
    """From answers, each ``"tuned"``, ``"original"`` or ``"none"``."""
    listed = list(answers)
    strange = sorted({str(a) for a in listed if a not in OUTCOMES})
    if strange:
        raise ValueError(f"answers must be {', '.join(OUTCOMES)}; got {', '.join(strange[:5])}")
    return preference(
        *(listed.count(o) for o in OUTCOMES), simulated=simulated, confidence=confidence
    )
