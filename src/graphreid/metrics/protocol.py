"""The evaluation protocol: which gallery images count for a query, and how means are taken."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Which images count, and how a query's average precision is taken.

    Attributes:
        camera: "remove" leaves a query's own identity in its own camera out of its ranking (all
            re-ID protocols); "keep" leaves it in.
        ap: "step" is the mean over positives of the precision at each; "trapezoid" averages it with
            the precision just before.
        denominator: means go over "valid" queries (those with a positive left), or over "all",
            where the others count 0.
        distractor: an identity number whose images are wrong for every query (0 in raw Market-1501
            arrays), or None.
        listed: how many images of each query's ranking are looked at, those that do not count among
            them, or None for all. A positive beyond is not found and adds 0, so the mean is at most
            that over whole rankings.
        tracks: what is found is a track of images; `evaluate` sets it where it is given tracks.

    Raises:
        ValueError: an unknown choice, or a list of no image.
    """

    camera: str = "remove"
    ap: str = "step"
    denominator: str = "valid"
    distractor: int | None = None
    listed: int | None = None
    tracks: bool = False

    def __post_init__(self) -> None:
        choices = {
            "camera": ("remove", "keep"),
            "ap": ("step", "trapezoid"),
            "denominator": ("valid", "all"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}"
                )
        if self.listed is not None and self.listed < 1:
            raise ValueError(f"listed is {self.listed}: at least one image must be looked at")

    def named(self, measure: str) -> str:
        """What a mean over rankings is called: "mAP", or "mAP@100" where only the first 100 images
        are looked at.
        """
        return measure if self.listed is None else f"{measure}@{self.listed}"

    def __str__(self) -> str:
        camera = (
            "same identity and camera removed" if self.camera == "remove" else "same camera kept"
        )
        distractor = "" if self.distractor is None else f", identity {self.distractor} distracts"
        first = (
            "" if self.listed is None else f", only the first {self.listed} images of each ranking"
        )
        tracks = ", image to track" if self.tracks else ""
        return (
            f"{camera}, {self.ap} AP, mean over {self.denominator} queries, ties by gallery "
            f"order{distractor}{first}{tracks}"
        )


MARKET = Protocol()
"""The field's common protocol (Zheng et al. 2015)."""
NO_CAMERA = Protocol(camera="keep")
"""For data without cameras: nothing but the query itself is removed."""
LAYUMI = Protocol(ap="trapezoid", denominator="all")
"""That of layumi/Person_reID_baseline_pytorch."""

PROTOCOLS = {"market": MARKET, "no-camera": NO_CAMERA, "layumi": LAYUMI}
"""Protocols by name, as `--rule` takes them."""
