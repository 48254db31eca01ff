"""How hard the synthetic set is: three levels, frozen. A change remakes every result on the set
(CHANGELOG line).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difficulty:
    """The numbers of a level. Lengths are shares of the image's height or width, chances are in [0,
    1].

    Attributes:
        family: identities of a family, which share parts.
        shared: how many of an identity's eight choices (`textures.CHOICES`) are its family's.
        turned: chance that the back of the head, of the upper body and of the lower body is another
            design than the front.
        carried: chance of a carried object.
        wander: standard deviation, in degrees, of the change of an identity's mean azimuth from one
            camera to the next.
        light: how far cameras differ in exposure, white balance, saturation and direction of light,
            0 for not at all.
        coarse: how far the worst camera is below full resolution, in pixels a sample (1 for full
            resolution).
        noise: standard deviation of the noisiest camera's noise, in grey levels of 255.
        clutter: objects in a camera's background.
        zoom: least and greatest height of the figure in the image.
        shift: standard deviation of the figure's displacement.
        occluded: chance that something stands before the figure.
        cover: least and greatest share of the figure's width or height that it covers.
    """

    family: int
    shared: int
    turned: tuple[float, float, float]
    carried: float
    wander: float
    light: float
    coarse: float
    noise: float
    clutter: int
    zoom: tuple[float, float]
    shift: float
    occluded: float
    cover: tuple[float, float]


DIFFICULTIES = {
    "easy": Difficulty(
        family=1,
        shared=0,
        turned=(0.0, 0.3, 0.0),
        carried=0.5,
        wander=50.0,
        light=0.4,
        coarse=1.3,
        noise=4.0,
        clutter=8,
        zoom=(0.84, 0.92),
        shift=0.01,
        occluded=0.0,
        cover=(0.1, 0.2),
    ),
    "default": Difficulty(
        family=3,
        shared=3,
        turned=(0.8, 0.95, 0.85),
        carried=0.6,
        wander=45.0,
        light=0.8,
        coarse=1.8,
        noise=7.0,
        clutter=16,
        zoom=(0.78, 0.94),
        shift=0.03,
        occluded=0.1,
        cover=(0.1, 0.35),
    ),
    "occluded": Difficulty(
        family=3,
        shared=3,
        turned=(0.8, 0.95, 0.85),
        carried=0.6,
        wander=45.0,
        light=0.8,
        coarse=1.8,
        noise=7.0,
        clutter=16,
        zoom=(0.8, 1.3),
        shift=0.05,
        occluded=0.5,
        cover=(0.2, 0.55),
    ),
}
