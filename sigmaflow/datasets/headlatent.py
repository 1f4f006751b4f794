"""What each coordinate of a head's latent moves: shape inputs of anny, colours, hair, light.

Everything is a smooth function of ``z / sqrt(mean(z^2))``; coordinates 0 to 52 are used (table
below and the two functions) without 48 and 49, the others are not. Correlations make plausible
people: a coordinate for gender also shifts beards, hair length and lip tint, age greys the hair.

==========  ==========================================================================
0-7         gender, age, muscle, weight, proportions, three weights of ancestry
8-27        shape changes, ``SHAPES``
28-31       smile or frown, jaw, brows, eye opening
32-37       skin tone and warmth, iris, lip tint, hair tone, red hair
38-44       hair length, volume, fringe, parting, baldness, beard, spectacles
45-47       light yaw and pitch, ambient share
50-52       brow thickness, waves of the hair, length of the beard
==========  ==========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigmaflow.datasets import headpaint as paint
from sigmaflow.datasets.headparts import smoothstep

LATENT = 64
# coordinate of z -> what it moves; shapes move both sides of the head alike
SHAPES = {
    8: "nose-scale-horiz-incr",
    9: "nose-scale-depth-incr",
    10: "nose-scale-vert-incr",
    11: "nose-hump-incr",
    12: "nose-point-up",
    13: "chin-width-incr",
    14: "chin-height-incr",
    15: "chin-prominent-incr",
    16: "cheek-bones-incr",
    17: "cheek-volume-incr",
    18: "eye-scale-incr",
    19: "eye-corner2-up",
    20: "eyebrows-trans-up",
    21: "mouth-scale-horiz-incr",
    22: "mouth-upperlip-height-incr",
    23: "mouth-lowerlip-height-incr",
    24: "mouth-trans-up",
    25: "head-fat-incr",
    26: "head-scale-horiz-incr",
    27: "forehead-scale-vert-incr",
}
_PAIRED = ("cheek-", "eye-")


@dataclass(frozen=True)
class Look:
    """All of a head that is not geometry; colours are sRGB in [0, 1], shares in [0, 1]."""

    skin: np.ndarray
    lip: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    hair_amount: float  # 0 bald to 1
    hair_shift: float  # metres the painted hairline moves forward
    brow: float  # thickness, about 0.7 to 1.5
    beard: float  # share
    style: dict  # of headparts.hair_vertices
    beard_length: float  # metres, 0.003 to 0.014
    glasses: float  # 0 (none) to 1
    light: np.ndarray  # unit vector toward the light
    ambient: float  # 0.4 to 0.6


def latent(seed):
    """The latent of a seed: ``numpy.random.RandomState(seed).randn(1, 64)``."""
    return np.random.RandomState(seed).randn(1, LATENT)


def _normalised(z):
    z = np.asarray(z, dtype=np.float64).reshape(-1)
    if z.shape != (LATENT,) or not np.isfinite(z).all() or not np.any(z):
        raise ValueError(f"z must hold {LATENT} finite numbers that are not all zero")
    return z / np.sqrt(np.mean(z * z))


def _cdf(x):
    from scipy.special import ndtr

    return float(ndtr(x))


def _sigmoid(x):
    return float(1 / (1 + np.exp(-x)))


def shape_inputs(z):
    """What anny gets for ``z``: dictionaries of phenotypes, local changes and expressions.

    Phenotypes lie in [0, 1] (gender 0 male to 1 female, age 0.45 to 0.95: late teens to old); local
    changes have a standard deviation of 0.25 and never pass 0.55; expressions lie in [0, 0.6].
    """
    n = _normalised(z)
    race = np.exp(1.3 * n[5:8])
    race /= race.sum()
    phenotypes = {
        "gender": 0.06 + 0.88 * _sigmoid(2.5 * n[0]),
        "age": 0.45 + 0.50 * _cdf(n[1]) ** 1.5,
        "muscle": 0.3 + 0.4 * _cdf(n[2]),
        "weight": 0.25 + 0.5 * _cdf(n[3]),
        "proportions": 0.4 + 0.45 * _cdf(n[4]),
        "height": 0.5,
        "african": race[0],
        "asian": race[1],
        "caucasian": race[2],
    }
    changes = {}
    for index, name in SHAPES.items():
        value = 0.55 * np.tanh(n[index] * 0.25 / 0.55)
        for full in [f"l-{name}", f"r-{name}"] if name.startswith(_PAIRED) else [name]:
            changes[full] = value
    for side in "lr":
        changes[f"{side}-eye-height2-incr"] = 0.25
    smile, jaw, brow = smoothstep(-0.3, 2.5, n[28]), smoothstep(0.3, 3.0, n[29]), n[30]
    actions = {"jawOpen": 0.22 * jaw, "browInnerUp": 0.35 * smoothstep(0.2, 2.5, brow)}
    for side in ("Left", "Right"):
        actions[f"mouthSmile{side}"] = 0.15 + 0.5 * smile
        actions[f"mouthFrown{side}"] = 0.35 * smoothstep(0.5, 2.5, -n[28])
        actions[f"browDown{side}"] = 0.4 * smoothstep(0.2, 2.5, -brow)
        actions[f"eyeSquint{side}"] = 0.3 * smoothstep(0.3, 2.5, n[31])
        actions[f"eyeWide{side}"] = 0.15 + 0.3 * smoothstep(0.3, 2.5, -n[31])
    return phenotypes, changes, actions


def look_of(z):
    """Colours, hair, spectacles, light and background of ``z``: a ``Look``."""
    n = _normalised(z)
    phenotypes = shape_inputs(z)[0]
    dark = 1.05 * phenotypes["african"] + 0.30 * phenotypes["asian"] + 0.13 * n[32] - 0.02
    dark = _sigmoid(5.0 * (dark - 0.45))
    skin = paint.skin_tone(dark, n[33])
    old = smoothstep(0.72, 0.92, phenotypes["age"])
    male = 1 - phenotypes["gender"]
    red = smoothstep(0.6, 1.8, n[37]) * (1 - smoothstep(0.3, 0.6, dark))
    tone = _sigmoid(1.6 * n[36] + 5.0 * (dark - 0.25) + 2.5 * phenotypes["asian"])
    hair = paint.hair_tone(tone, 0.8 * red, 0.85 * old)
    tint = _sigmoid(1.2 * n[35] - 2.0 * male)
    lip = skin * [0.90, 0.66, 0.64] * (1 - tint) + tint * np.array([0.72, 0.24, 0.26]) * (
        1 - 0.35 * dark
    )
    iris = paint.eye_tone(_sigmoid(1.8 * n[34] + 6.0 * (dark - 0.12)))
    amount = 1 - smoothstep(1.0, 1.9, n[42] * 0.9 + 1.2 * (male - 0.5) + 0.5 * (old - 0.5))
    fringe = 26 * smoothstep(0.0, 1.6, n[40]) - 7 * smoothstep(0.2, 1.6, -n[40]) - 4 * old * male
    style = {
        "thickness": 0.006 + 0.022 * _cdf(n[39]),
        "length": 0.17 * amount**2 * smoothstep(-0.3, 2.0, n[38] + 2.4 * (0.5 - male)),
        "fringe": fringe,
        "part": np.tanh(n[41]),
        "amount": amount,
        "wave": _cdf(n[51]),
    }
    yaw, pitch = 0.9 * np.tanh(n[45] / 1.5), 0.35 + 0.3 * np.tanh(n[46])
    light = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    return Look(
        skin=skin,
        lip=np.clip(lip, 0, 1),
        hair=hair,
        iris=iris,
        hair_amount=float(amount),
        hair_shift=float(0.0002 * min(fringe, 5)),
        brow=0.7 + 0.8 * _cdf(n[50] + 1.6 * (male - 0.5)),
        beard=float(_sigmoid(3.0 * (n[43] - 0.3)) * smoothstep(0.5, 0.85, male)),
        style=style,
        beard_length=0.003 + 0.011 * _cdf(n[52]),
        glasses=float(smoothstep(0.8, 1.0, n[44])),
        light=light,
        ambient=0.42 + 0.16 * _cdf(n[47]),
    )


def traits(z):
    """What a person would say of ``z``: names to bools, for counting how often each occurs.

    Keys: glasses, beard, bald, long_hair, fringe, wavy_hair, grey_hair, smile, frown, open_mouth,
    raised_brows, lowered_brows, squint, wide_eyes.
    """
    look, (_, _, actions) = look_of(z), shape_inputs(z)
    style = look.style
    return {
        "glasses": look.glasses > 0.5,
        "beard": look.beard > 0.5,
        "bald": look.hair_amount < 0.5,
        "long_hair": style["length"] > 0.05,
        "fringe": bool(style["fringe"] > 8 and look.hair_amount > 0.5),
        "wavy_hair": style["wave"] > 0.7 and look.hair_amount > 0.5,
        "grey_hair": bool(np.ptp(look.hair) < 0.08 and look.hair.mean() > 0.35),
        "smile": actions["mouthSmileLeft"] > 0.25,
        "frown": actions["mouthFrownLeft"] > 0.1,
        "open_mouth": actions["jawOpen"] > 0.05,
        "raised_brows": actions["browInnerUp"] > 0.1,
        "lowered_brows": actions["browDownLeft"] > 0.1,
        "squint": actions["eyeSquintLeft"] > 0.1,
        "wide_eyes": actions["eyeWideLeft"] > 0.25,
    }
