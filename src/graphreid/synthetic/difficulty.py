"""The three difficulties of the synthetic set: easy, default, occluded.

Their numbers are frozen: a change makes all results on the set obsolete.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difficulty:
    """Parameters of a difficulty.

    Lengths are fractions of the image's height or width; probabilities are in [0, 1].

    Attributes:
        family: number of identities in a family; they share parts of their outfits.
        shared: how many of an identity's eight choices (`textures.CHOICES`) come from its family.
        turned: probabilities that the back of the head, of the upper body and of the lower body has
            another design than the front.
        carried: probability of a carried object.
        wander: standard deviation, in degrees, of the change of an identity's mean azimuth from one
            camera to the next.
        light: how much cameras differ in exposure, white balance, saturation and direction of
            light; 0 is not at all.
        coarse: pixels per sample of the camera with the lowest resolution; 1 is full resolution.
        noise: standard deviation of the noisiest camera's noise, in grey levels of 255.
        clutter: objects in a camera's background.
        zoom: smallest and largest height of the figure in the image.
        shift: standard deviation of the figure's displacement.
        occluded: probability of an occluder.
        cover: smallest and largest fraction of the figure's width or height that it covers.
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
