import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.report import examine, page, write_report
from graphreid.types import Features
from tests.report.cases import Examined, Shifted, examined, many

EVIL = '<script>alert("x")</script>&\'</style>'


class Reader(HTMLParser):
    """Tags, ids and visible text of a page; void elements and unclosed ones are checked."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.classes: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "xlink:href"):
                self.links.append(value or "")
            elif name == "class":
                self.classes.extend((value or "").split())
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def written(path: Path, case: Examined, **options: Any) -> str:
    write_report(
        path,
        case.reports,
        case.query,
        case.query_labels,
        case.gallery,
        case.gallery_labels,
        details=case.details,
        **options,
    )
    return path.read_text(encoding="utf-8")


def found_in(folder: Path) -> Callable[[str], Path | None]:
    return lambda item: folder / f"{item}.png"


def renamed(case: Examined, name: str) -> Examined:
    """The same with a gallery, a query and a method called `name`."""
    items = case.gallery.features.items.tolist()
    gallery = Gallery(
        Features(
            case.gallery.vectors,
            np.array([f"{name}{item}" for item in items]),
            case.gallery.features.camera,
        )
    )
    query = Features(
        case.query.vectors,
        np.array([f"{name}{item}" for item in case.query.items]),
        case.query.camera,
    )
    reports = [dataclasses.replace(report, method=name + report.method) for report in case.reports]
    return dataclasses.replace(case, gallery=gallery, query=query, reports=reports)


@pytest.fixture(scope="module")
def case() -> Examined:
    return examined(0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, case: Examined) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, item in enumerate(
        [*case.query.items.tolist(), *case.gallery.features.items.tolist()]
    ):
        noise = np.random.default_rng(number).integers(0, 255, (48, 24, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{item}.png")
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, case: Examined, pictures: Path) -> str:
    """A page with pictures."""
    folder = tmp_path_factory.mktemp("page")
    made = written(folder / "r.html", case, thumbnails=found_in(pictures), title="A title")
    assert [path.name for path in folder.iterdir()] == ["r.html"]
    return made


def test_one_file_without_scripts_and_without_a_network(text: str) -> None:
    read = Reader(text)
    assert read.open == []
    assert not {"script", "link", "iframe", "img", "object"} & set(read.tags)
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert "http" not in text
    assert "@import" not in text
    assert len(text) < 2_000_000


def test_what_the_page_has(text: str, case: Examined) -> None:
    words = " ".join("".join(Reader(text).text).split())
    for heading in (
        "A title",
        "Results",
        "Ranked lists",
        "Distances of right and wrong pairs",
        "Cameras",
        "Map",
        "Protocol",
    ):
        assert heading in words
    for kind in ("Most improved", "Most harmed", "Hardest", "Random"):
        assert text.count(f"<h3>{kind} ") == 1
    for report in case.reports:
        assert f"{report.mean_ap():.3f}" in words
    assert "same identity and camera removed" in words
    assert "No threshold: k-reciprocal:transductive" in words
    assert "No map: it takes twenty identities" in words


def test_the_same_page_twice(tmp_path: Path, text: str, case: Examined, pictures: Path) -> None:
    assert (
        written(tmp_path / "r.html", case, thumbnails=found_in(pictures), title="A title") == text
    )


def test_pictures_are_stored_once_and_marked(text: str) -> None:
    data = re.findall(r"base64,([^)]+)\)", text)
    assert len(data) == len(set(data))
    used = {name for name in Reader(text).classes if re.fullmatch(r"i\d+", name)}
    assert used == {f"i{number}" for number in range(len(data))}
    assert {"right", "wrong", "ignored"} <= set(Reader(text).classes)


def test_names_that_are_html_stay_text(tmp_path: Path, case: Examined) -> None:
    evil = renamed(case, EVIL)
    text = written(
        tmp_path / "r.html",
        evil,
        title=EVIL,
        card={EVIL: EVIL},
        names={evil.query.items[0]: EVIL + "/" + EVIL},
        camera_names={0: EVIL},
        thumbnails={}.get,
    )
    read = Reader(text)
    assert read.open == []
    assert "script" not in read.tags
    assert text.count("</style>") == 1
    assert "alert" in "".join(read.text)


def test_names_of_files_are_shown(tmp_path: Path, case: Examined) -> None:
    names = {item: f"folder/sub/{item}.jpg" for item in case.gallery.features.items.tolist()}
    text = written(tmp_path / "r.html", case, names=names)
    assert 'title="folder/sub/image' in text
    assert re.search(r'class="name">image\d+\.jpg<', text)


@pytest.mark.parametrize(
    ("item", "short"),
    [
        ("a/b/picture7.png", "picture7.png"),
        ("x/cat/01.png", "cat/01.png"),
        ("01.png", "01.png"),
        ("0123456789abcdef#12", "row 12"),
    ],
)
def test_short_names_tell_images_apart(item: str, short: str) -> None:
    assert page._ItemNames({}, [], []).short(item) == short  # pyright: ignore[reportPrivateUsage]


def test_a_page_of_plain_reports_says_what_it_lacks(tmp_path: Path, case: Examined) -> None:
    plain = [dataclasses.replace(report, order=None) for report in case.reports[:1]]
    path = tmp_path / "r.html"
    write_report(path, plain, case.query, case.query_labels, case.gallery, case.gallery_labels)
    words = " ".join("".join(Reader(path.read_text()).text).split())
    assert "No ranked lists were kept" in words
    assert "Distances were not gathered" in words
    assert "Cameras were not gathered" in words


def test_missing_and_broken_pictures_are_said_in_the_card(
    tmp_path: Path, case: Examined, pictures: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    first = case.query.items[0]
    files = {item: pictures / f"{item}.png" for item in case.gallery.features.items.tolist()} | {
        first: bad
    }
    text = written(tmp_path / "r.html", case, thumbnails=files.get)
    assert "Pictures missing" in text
    assert "no picture" in text
    shown = first in re.findall(r'class="name">([^<]+)<', text)
    assert ("Pictures unreadable" in text) == shown


def test_a_map_before_and_after_where_there_are_new_vectors(tmp_path: Path) -> None:
    query, query_labels, gallery, gallery_labels = many()
    methods = {"cosine": Cosine(), "shifted": Shifted()}
    pairs = [
        examine(method, query, gallery, query_labels, gallery_labels, name=name)
        for name, method in methods.items()
    ]
    reports, details = zip(*pairs, strict=True)
    path = tmp_path / "r.html"
    write_report(
        path,
        reports,
        query,
        query_labels,
        gallery,
        gallery_labels,
        details=details,
        methods=methods,
    )
    text = path.read_text()
    assert text.count('aria-label="t-SNE map') == 2
    assert "after shifted" in text
    assert "The data have no cameras" in text


def test_wrong_calls_are_refused_in_one_line(tmp_path: Path, case: Examined) -> None:
    path = tmp_path / "r.html"
    given = case.query, case.query_labels, case.gallery, case.gallery_labels
    with pytest.raises(ValueError, match="at least one"):
        write_report(path, [], *given)
    with pytest.raises(ValueError, match="1 details for 2 reports"):
        write_report(path, case.reports, *given, details=case.details[:1])
    with pytest.raises(ValueError, match="give one each"):
        write_report(path, case.reports, *given[:3], case.gallery_labels.take(np.arange(5)))
    with pytest.raises(ValueError, match="evaluated on 40 queries, and 3"):
        write_report(
            path,
            case.reports,
            case.query.take(np.arange(3)),
            case.query_labels.take(np.arange(3)),
            *given[2:],
        )
    other = examined(5, methods=1).reports
    with pytest.raises(ValueError, match="differ"):
        write_report(path, [*case.reports, *other], *given)
    with pytest.raises(ValueError, match="does the folder exist"):
        written(tmp_path / "no" / "r.html", case)
    assert not list(tmp_path.iterdir())
