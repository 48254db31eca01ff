"""`--report` of `graphreid evaluate`: where the page's pictures and names come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from graphreid.atomic_files import writable
from graphreid.extras import require
from graphreid.features.features_file import load_columns
from graphreid.gallery import Gallery
from graphreid.metrics.report import Report
from graphreid.protocols import Reranker
from graphreid.resources import Resources
from graphreid.types import Features, Labels, Text, codes


@Parameter(name="*")
@dataclass(frozen=True)
class ReportOptions:
    """A page for people beside the numbers."""

    report: Annotated[
        Path | None,
        Parameter(help="write a page with ranked lists, distances and cameras: one HTML file"),
    ] = None
    data: Annotated[
        Path | None,
        Parameter(help="the page's pictures: a data folder, by the items of its manifest"),
    ] = None
    images: Annotated[
        Path | None,
        Parameter(
            help="the page's pictures: the folder that the features' paths (or else items) start "
            "from"
        ),
    ] = None
    title: Annotated[str | None, Parameter(help="the page's title")] = None

    def check(self) -> None:
        """Refuse before the work what can't end well.

        Raises:
            ValueError: pictures without a page, two sources of pictures, packages that are missing,
                or no place to write to.
        """
        if self.report is None:
            raise ValueError(
                "--data, --images and --title are for a page: add --report FILE, or leave them out"
            )
        if self.data is not None and self.images is not None:
            raise ValueError(
                "--data and --images both say where the pictures are: give one of them"
            )
        require("report", "a report")
        writable(self.report)

    @property
    def wanted(self) -> bool:
        """Whether any of these options was given."""
        return any(value is not None for value in (self.report, self.data, self.images, self.title))


def examine(*given: Any, **options: Any) -> tuple[Report, Any]:
    """`graphreid.report.examine`, imported when it is used."""
    from graphreid import report  # noqa: PLC0415  # an extra

    return report.examine(*given, **options)


@dataclass(frozen=True)
class Sources:
    """What a page says of the items beside their numbers.

    Attributes:
        pictures: the image file of each item, None where no pictures are wanted.
        paths: the file of each item, as the features' `path` column gives it.
        cameras: the name of each camera that is text, by its code.
        facts: lines for the protocol card.
    """

    pictures: Mapping[str, Path] | None
    paths: Mapping[str, str]
    cameras: Mapping[int, str]
    facts: Mapping[str, str]


def sources(options: ReportOptions, files: Mapping[Path, Text], *, junk: int = 0) -> Sources:
    """Read the columns of features files, whose items (of all rows) are given; `junk` of the rows
    were dropped.

    Raises:
        ValueError: pictures are wanted, and not one item has a file.
    """
    paths: dict[str, str] = {}
    cameras: dict[int, str] = {}
    for file, items in files.items():
        columns = load_columns(file)
        if "path" in columns:
            paths.update(zip(items.tolist(), columns["path"].astype(str).tolist(), strict=True))
        if "camera" in columns:
            names = sorted(set(columns["camera"].astype(str).tolist()))
            cameras.update(zip(codes(names, "camera").tolist(), names, strict=True))
    facts = {"Files": ", ".join(file.name for file in files)}
    if junk:
        facts["Junk"] = f"{junk:,} gallery images dropped before re-ranking"
    every = [item for items in files.values() for item in items.tolist()]
    return Sources(_files(options, every, paths), paths, cameras, facts)


def write(
    options: ReportOptions,
    methods: Sequence[Reranker],
    reports: Sequence[Report],
    details: Sequence[Any],
    images: tuple[Features, Labels, Gallery, Labels],
    known: Sources,
    resources: Resources,
) -> None:
    """The page that `options` ask for."""
    from graphreid.report import write_report  # noqa: PLC0415

    if options.report is None:
        return
    query, query_labels, gallery, gallery_labels = images
    write_report(
        options.report,
        reports,
        query,
        query_labels,
        gallery,
        gallery_labels,
        details=details,
        methods={report.method: method for report, method in zip(reports, methods, strict=True)},
        thumbnails=None if known.pictures is None else known.pictures.get,
        names=known.paths,
        camera_names=known.cameras,
        title=options.title or "Retrieval report",
        card=known.facts,
        resources=resources,
    )
    print(
        f"{options.report}: {options.report.stat().st_size / 2**20:.1f} MB, open it in any browser"
    )


def _files(
    options: ReportOptions, items: Sequence[str], paths: Mapping[str, str]
) -> dict[str, Path] | None:
    """The image file of each item that has one, None where no pictures are wanted.

    Raises:
        ValueError: not one item has a file.
    """
    if options.data is not None:
        from graphreid.datasets.manifest import read_manifest  # noqa: PLC0415  # pyarrow, for those with images alone

        manifest = read_manifest(options.data)
        wanted = set(items)
        rows = zip(manifest.item.tolist(), manifest.path.tolist(), strict=True)
        files = {item: manifest.root / path for item, path in rows if item in wanted}
        if not files:
            raise ValueError(
                f"{options.data}: none of the items, such as {items[0]!r}, is in its manifest: "
                f"give --images"
            )
        return files
    if options.images is None:
        return None
    files = {item: options.images / paths.get(item, item) for item in items}
    if not any(file.is_file() for file in files.values()):
        raise ValueError(
            f"{options.images}: no image is there, such as {files[items[0]]}: give the folder the "
            f"paths start from"
        )
    return files
