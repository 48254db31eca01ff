"""Requests and answers of the HTTP interface, from which its OpenAPI description is made.

The answer of /explain is `explanation_json.ExplanationGraph`.
"""

from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2
"""Raised when a field of a request or an answer changes its name or meaning."""
WIDEST = 65_536
"""Entries of the widest vector that is read."""
NAME = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""Text of one line that is not empty."""

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=NAME)]
Vector = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]],
    Field(min_length=1, max_length=WIDEST, description="the embedding"),
]
ImageFile = Annotated[
    Base64Bytes, Field(description="an image file, in base64; only where the service has a model")
]
Version = Annotated[int, Field(description="of the gallery; each change raises it")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Query(_Request):
    """A query: a vector, an image, or an item of the gallery, which does not find itself."""

    vector: Vector | None = None
    image: ImageFile | None = None
    item: Name | None = None
    camera: Annotated[
        Name | None, Field(description="of a vector or an image, for methods that use it")
    ] = None
    method: Annotated[
        str,
        Field(
            max_length=500, description="one of those that /health names; if not given, the first"
        ),
    ] = ""


class SearchRequest(Query):
    """A query, and how many images to find."""

    top: Annotated[int, Field(ge=1, description="images to find")] = 10


class Match(BaseModel):
    """An image of a search result."""

    item: str
    distance: Annotated[float, Field(description="the method's distance; smaller is closer")]
    probability: Annotated[
        float | None,
        Field(
            description="that it shows the query's identity, in [0, 1]; null where the method "
            "predicts no links"
        ),
    ]
    score: Annotated[
        float,
        Field(description="what the threshold is compared with: 1 - probability, or the distance"),
    ]
    within_threshold: Annotated[
        bool | None,
        Field(description="whether the score is at most the threshold; null where there is none"),
    ]
    identity: str | None
    camera: str | None
    path: str | None
    extra: dict[str, Any]


class SearchResult(BaseModel):
    """The result of one query."""

    method: str
    version: Version
    images: Annotated[int, Field(description="how many were searched")]
    threshold: Annotated[
        float | None, Field(description="null where none was chosen for the method")
    ]
    unknown: Annotated[
        bool | None,
        Field(
            description="whether the query is taken to show an identity that is not in the "
            "gallery; null without a threshold"
        ),
    ]
    matches: Annotated[list[Match], Field(description="nearest first")]


class NewItem(_Request):
    """An image to add: with a vector, or as an image file."""

    item: Name
    vector: Vector | None = None
    image: ImageFile | None = None
    identity: Name | None = None
    camera: Name | None = None
    path: Name | None = None
    extra: Annotated[
        dict[str, Any] | None, Field(description="anything else, kept and given back")
    ] = None


class NewItems(_Request):
    """Images to add, all or none."""

    items: Annotated[list[NewItem], Field(min_length=1)]


class Change(BaseModel):
    """What a request has changed."""

    images: Annotated[int, Field(description="how many were added or removed")]
    version: Version


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
    version: Version
    width: Annotated[int, Field(description="entries of a vector")]
    methods: list[str]
    takes_images: Annotated[bool, Field(description="whether image files can be sent")]


class Error(BaseModel):
    """Why a request was refused."""

    detail: str
