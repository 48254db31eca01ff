"""What requests and answers look like: the source of the OpenAPI description."""

from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2
"""Raised when a field of a request or an answer changes its name or meaning."""
WIDEST = 65_536
"""Entries of a vector beyond which no gallery goes."""
NAME = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""Text of one line that is not empty."""

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=NAME)]
Vector = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]],
    Field(min_length=1, max_length=WIDEST, description="the embedding"),
]
Picture = Annotated[
    Base64Bytes, Field(description="an image file, in base64; only where the service has a model")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Query(_Strict):
    """A query: a vector, an image, or an item of the gallery, which does not find itself."""

    vector: Vector | None = None
    image: Picture | None = None
    item: Name | None = None
    camera: Annotated[
        Name | None, Field(description="of a vector or an image, for methods that want one")
    ] = None
    method: Annotated[
        str,
        Field(
            max_length=500, description="one of those that /health names; if not given, the first"
        ),
    ] = ""


class Search(Query):
    """A query, and how many images to give."""

    top: Annotated[int, Field(ge=1, description="images to give")] = 10


class Found(BaseModel):
    """An image of an answer."""

    item: str
    distance: Annotated[float, Field(description="the method's; smaller is closer")]
    probability: Annotated[
        float | None,
        Field(
            description="that it shows the query's identity, in [0, 1]; null where the method "
            "gives none"
        ),
    ]
    score: Annotated[
        float,
        Field(description="what the threshold is compared with: 1 - probability, or the distance"),
    ]
    passes: Annotated[
        bool | None,
        Field(description="whether it is within the threshold; null where there is none"),
    ]
    identity: str | None
    camera: str | None
    path: str | None
    extra: dict[str, Any]


class Reply(BaseModel):
    """An answer to a query."""

    method: str
    version: Annotated[int, Field(description="of the gallery that was searched")]
    images: Annotated[int, Field(description="how many were searched")]
    threshold: Annotated[
        float | None, Field(description="null where none was chosen for the method")
    ]
    unknown: Annotated[
        bool | None,
        Field(
            description="whether the query is taken not to be in the gallery; null without a "
            "threshold"
        ),
    ]
    matches: list[Found]


class Entry(_Strict):
    """An image to add: with a vector, or as an image file."""

    item: Name
    vector: Vector | None = None
    image: Picture | None = None
    identity: Name | None = None
    camera: Name | None = None
    path: Name | None = None
    extra: Annotated[
        dict[str, Any] | None, Field(description="anything else, kept and given back")
    ] = None


class Entries(_Strict):
    """Images to add, all or none."""

    items: Annotated[list[Entry], Field(min_length=1)]


class Changed(BaseModel):
    """What a change has made."""

    images: Annotated[int, Field(description="added or removed")]
    version: Annotated[int, Field(description="of the gallery, with the change")]


class Item(BaseModel):
    """An image of the gallery."""

    item: str
    identity: str | None
    camera: str | None
    path: str | None
    extra: dict[str, Any]
    vector: list[float]


class Health(BaseModel):
    """That the service is up, and what it serves."""

    status: str
    schema_version: Annotated[int, Field(description="of this interface")]
    images: int
    version: Annotated[int, Field(description="of the gallery; each change raises it")]
    width: int
    methods: list[str]
    takes_images: bool


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
