"""A body of revolution seen from above at a slant, a pixel at a time: which texel is seen, if any.

x = centre + r sin(a - azimuth): a point at azimuth a and radius r appears there; r cos(a - azimuth)
is how much nearer to the camera it is than the axis, and a point that is nearer by z appears lower
by z tan(elevation).
"""

import math


def texel(
    x: float,
    y: float,
    *,
    azimuth: float,
    centre: float,
    top: float,
    rows: float,
    radius: float,
    slant: float,
    bins: int,
    texture_rows: int,
) -> tuple[int, int] | None:
    """(row, bin) of the texture that pixel (x, y) shows, None where it is beside the body. A
    cylinder's, radius in pixels.
    """
    sine = (x - centre) / radius
    if abs(sine) >= 1:
        return None
    nearer = radius * math.sqrt(1 - sine * sine)
    height = (y - nearer * slant - top) / rows
    if height >= 1 or (y + nearer * slant - top) / rows <= 0:
        return None
    turn = ((azimuth + math.asin(sine)) / (2 * math.pi) + 0.25) % 1
    return int(min(max(height, 0), 0.9999) * texture_rows), int(turn * bins)
