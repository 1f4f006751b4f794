"""Colour of a rendered head: regions drawn in the coordinates of the canonical head.

Every function takes points ``[N, 3]`` on the canonical head (metres; y up, z forward), so the
painting sticks to the anatomy whatever the shape, at any resolution. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

import numpy as np

from sigmaflow.datasets.headparts import EYES, smoothstep, strands

SKIN, TONGUE, EYE, HAIR, FRAME, NECK = range(6)
_SKIN_TONES = np.array(
    [
        [0.96, 0.82, 0.73],
        [0.92, 0.75, 0.64],
        [0.82, 0.62, 0.48],
        [0.62, 0.43, 0.31],
        [0.42, 0.28, 0.20],
    ]
)
_HAIR_TONES = np.array(
    [[0.86, 0.70, 0.44], [0.58, 0.41, 0.25], [0.30, 0.19, 0.12], [0.10, 0.08, 0.07]]
)
_EYE_TONES = np.array(
    [[0.35, 0.52, 0.68], [0.36, 0.50, 0.36], [0.42, 0.28, 0.13], [0.16, 0.09, 0.05]]
)
_EDGE_Y = np.array([0.055, 0.09, 0.12, 0.146, 0.152, 0.16, 0.175, 0.19, 0.205, 0.215, 0.222, 0.235])
_EDGE_Z = np.array(
    [-0.06, -0.045, -0.032, -0.022, 0.008, 0.022, 0.03, 0.043, 0.058, 0.071, 0.080, 0.12]
)


def _curve(table, t):
    at = np.clip(t, 0, 1) * (len(table) - 1)
    return np.array([np.interp(at, np.arange(len(table)), table[:, i]) for i in range(3)])


def skin_tone(t, warmth=0.0):
    """Skin colour ``[3]``: ``t`` 0 light to 1 dark, ``warmth`` about -1 (cool) to 1 (warm)."""
    return np.clip(_curve(_SKIN_TONES, t) * (1 + 0.025 * warmth * np.array([1, 0.1, -1.6])), 0, 1)


def hair_tone(t, red=0.0, grey=0.0):
    """Hair colour ``[3]``: ``t`` 0 blond to 1 black, shares of red and of grey in [0, 1]."""
    colour = _curve(_HAIR_TONES, t)
    colour = colour + red * (np.array([0.50, 0.20, 0.08]) - colour)
    return colour + grey * (np.array([0.74, 0.73, 0.72]) - colour)


def eye_tone(t):
    """Iris colour ``[3]``: ``t`` 0 blue, 1/3 green, 2/3 brown, 1 nearly black."""
    return _curve(_EYE_TONES, t)


def _mix(colour, target, weight):
    return colour + np.asarray(weight)[:, None] * (np.asarray(target) - colour)


def scalp(p, shift=0.0):
    """Share of hair-bearing scalp at each point, [0, 1]; ``shift`` moves the hairline (metres)."""
    depth = np.interp(p[:, 1], _EDGE_Y, _EDGE_Z) - p[:, 2] + shift
    ear = smoothstep(0.068, 0.0705, np.abs(p[:, 0])) * smoothstep(0.156, 0.151, p[:, 1])
    return smoothstep(-0.003, 0.004, depth) * (1 - ear) * smoothstep(0.062, 0.085, p[:, 1])


def lips(p):
    """Share of lip at each point, [0, 1]."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    line = 0.1060 - 0.0045 * (x / 0.0225) ** 2
    arch = np.clip(1 - (x / 0.0245) ** 2, 0, 1)
    top = line + 0.0092 * arch**0.8 - 0.0012 * np.exp(-((x / 0.003) ** 2))
    bottom = line - 0.0128 * np.clip(1 - (x / 0.0235) ** 2, 0, 1) ** 0.7
    return (
        smoothstep(0.0006, -0.0012, y - top)
        * smoothstep(-0.0010, 0.0008, y - bottom)
        * smoothstep(0.086, 0.092, z)
        * smoothstep(0.0250, 0.0235, x)
    )


def brows(p, thickness=1.0):
    """Share of eyebrow at each point, [0, 1]."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    middle = 0.1836 + 0.0030 * np.sin(np.clip((x - 0.010) / 0.044, 0, 1) * np.pi * 0.85)
    half = thickness * np.interp(x, [0.010, 0.018, 0.036, 0.052], [0.0030, 0.0036, 0.0028, 0.0010])
    along = smoothstep(0.0095, 0.014, x) * smoothstep(0.053, 0.047, x)
    return smoothstep(half + 0.0012, half - 0.0008, np.abs(y - middle)) * along * (z > 0.03)


def _lash(p):
    x, y = np.abs(p[:, 0]), p[:, 1]
    arch = 1 - ((x - 0.032) / 0.0125) ** 2
    near = smoothstep(-0.15, 0.1, arch) * (p[:, 2] > 0.06)
    upper = smoothstep(0.0022, 0.0006, np.abs(y - (0.1660 + 0.0063 * arch)))
    lower = smoothstep(0.0012, 0.0003, np.abs(y - (0.1652 - 0.0024 * arch)))
    return near * np.maximum(upper, 0.35 * lower)


def beard(p):
    """Share of beard-bearing skin at each point, [0, 1]: jaw, chin, and round the mouth."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    jaw = smoothstep(-0.008, 0.010, 0.098 + 0.045 * smoothstep(0.035, 0.068, x) - y)
    jaw = jaw * smoothstep(-0.010, 0.010, z)
    mouth = smoothstep(1.15, 0.85, np.hypot(x / 0.036, (y - 0.104) / 0.023))
    mouth = mouth * smoothstep(0.060, 0.075, z) * smoothstep(0.129, 0.123, y)
    return np.maximum(jaw, mouth) * smoothstep(0.036, 0.056, y) * (1 - lips(p))


def paint_skin(p, look):
    """Colours of head points: ``look`` as ``heads.Look`` (skin, lip, hair, brow, beard ...)."""
    skin = np.asarray(look.skin)
    colour = np.broadcast_to(skin, (len(p), 3)).copy()
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    blush = np.exp(-(((x - 0.040) / 0.016) ** 2 + ((y - 0.130) / 0.014) ** 2)) * (z > 0.03)
    blush = blush + 0.8 * np.exp(-((x / 0.012) ** 2 + ((y - 0.136) / 0.010) ** 2)) * (z > 0.1)
    colour = _mix(colour, skin * [1.0, 0.80, 0.78], 0.35 * np.clip(blush, 0, 1))
    socket = np.exp(-(((x - 0.030) / 0.017) ** 2 + ((y - 0.1665) / 0.011) ** 2)) * (z > 0.05)
    colour = _mix(colour, skin * [0.80, 0.70, 0.68], 0.5 * socket)
    share = scalp(p, look.hair_shift)
    colour = _mix(colour, look.hair, share * (0.12 + 0.83 * look.hair_amount))
    mouth = lips(p)
    colour = _mix(colour, np.asarray(look.hair) * 0.9, beard(p) * 0.9 * look.beard)
    colour = _mix(colour, look.lip, 0.9 * mouth)
    line = 0.1060 - 0.0045 * (x / 0.0225) ** 2
    slit = smoothstep(0.0014, 0.0004, np.abs(y - line)) * smoothstep(0.0235, 0.021, x)
    colour = _mix(colour, skin * 0.30, 0.75 * slit * (z > 0.09))
    inside = (x < 0.03) & (y > 0.06) & (y < 0.14) & (z < 0.100) & (z > -0.02) & (x < 0.025)
    inside &= (y > 0.075) & (z < 0.0995 - 0.35 * x)
    colour = _mix(colour, [0.30, 0.10, 0.09], inside.astype(float))
    colour = _mix(colour, np.asarray(look.hair) * 0.75, 0.92 * brows(p, look.brow))
    return _mix(colour, [0.09, 0.06, 0.05], 0.85 * _lash(p))


def paint_eye(p, look):
    """Colours of eyeball points: white, iris, limbal ring, pupil and a small highlight."""
    x = np.abs(p[:, 0]) - EYES[0, 0]
    y = p[:, 1] - 0.1662
    r = np.hypot(x, y)
    colour = np.broadcast_to(np.array([0.93, 0.91, 0.89]), (len(p), 3)).copy()
    front = (p[:, 2] > EYES[0, 2]).astype(float)
    colour = _mix(colour, np.asarray(look.iris) * 0.55, smoothstep(0.0062, 0.0056, r) * front)
    colour = _mix(colour, look.iris, smoothstep(0.0054, 0.0046, r) * front)
    colour = _mix(colour, [0.03, 0.03, 0.03], smoothstep(0.0028, 0.0022, r) * front)
    spot = np.hypot(p[:, 0] - np.sign(p[:, 0]) * EYES[0, 0] - 0.0015, y - 0.0018)
    return _mix(colour, [1, 1, 1], smoothstep(0.0013, 0.0008, spot) * front)


def paint_hair(azimuth, look):
    """Colours of hair points: the hair colour, darker in the grooves between strands.

    ``azimuth`` ``[N]`` radians. The strands are those of ``headparts.strands``.
    """
    shade = 1 + 0.16 * strands(azimuth)
    return np.clip(np.asarray(look.hair) * shade[:, None], 0, 1)
