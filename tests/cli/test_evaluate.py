import json
from pathlib import Path

import numpy as np
import pytest

from graphreid import evaluate, load_features
from graphreid.cli import main
from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.types import drop_junk
from tests.cli.test_main import files

__all__ = ["files"]


def test_json_and_table_are_the_librarys_numbers(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    out = tmp_path / "r.json"
    methods = ["cosine", "k-reciprocal:k1=8"]
    arguments = [part for name in methods for part in ("--method", name)]
    assert (
        main(["evaluate", "--query", query, "--gallery", gallery, *arguments, "--json", str(out)])
        == 0
    )
    printed = capsys.readouterr().out
    given = json.loads(out.read_text())
    assert list(given["methods"]) == methods
    assert "same identity and camera removed" in given["rule"]
    queries, query_labels = load_features(query)
    images, image_labels = load_features(gallery)
    for name, method in zip(methods, (Cosine(), KReciprocal(k1=8)), strict=True):
        report = evaluate(method, queries, Gallery(images), query_labels, image_labels)
        row = given["methods"][name]
        assert row["mAP"] == pytest.approx(report.mean_ap())
        assert row["mINP"] == pytest.approx(report.mean_inp())
        assert row["cmc"]["5"] == report.cmc(5)
        assert row["queries"] + row["skipped"] == len(queries)
        assert row["setting"] == method.setting
        assert row["peak_mb"] >= 0
        assert f"{report.mean_ap():.3f}" in printed


def test_tracks_of_the_gallery(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    command = ["evaluate", "--query", query, "--method", "cosine", "--tracks"]
    assert main([*command, "--gallery", gallery]) == 2
    assert "it has no column track" in capsys.readouterr().err
    given = dict(np.load(gallery))
    given["identity"] = np.where(np.arange(len(given["identity"])) % 4 == 0, -1, given["identity"])
    given["track"] = np.array(
        [f"{i} {c}" for i, c in zip(given["identity"], given["camera"], strict=True)]
    )
    with_tracks = str(tmp_path / "tracks.npz")
    np.savez(with_tracks, **given)  # pyright: ignore[reportArgumentType]
    command += ["--gallery", with_tracks]
    assert main([*command, "--json", str(tmp_path / "r.json")]) == 0
    assert "image to track" in capsys.readouterr().out
    written = json.loads((tmp_path / "r.json").read_text())
    queries, query_labels = load_features(query)
    images, labels = drop_junk(*load_features(with_tracks))
    tracks = given["track"][given["identity"] != -1]
    report = evaluate(Cosine(), queries, Gallery(images), query_labels, labels, tracks=tracks)
    assert written["methods"]["cosine"]["mAP"] == pytest.approx(report.mean_ap())
    assert written["rule"] == str(report.protocol)
    assert main([*command, "--keep-junk"]) == 0
    assert main([*command, "--report", str(tmp_path / "r.html")]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_junk_is_no_graph_node_unless_asked(files: tuple[str, str], tmp_path: Path) -> None:
    query, gallery = files
    given = dict(np.load(gallery))
    given["identity"] = np.where(np.arange(len(given["identity"])) % 4 == 0, -1, given["identity"])
    junky = tmp_path / "junky.npz"
    np.savez(junky, **given)  # pyright: ignore[reportArgumentType]
    clean = tmp_path / "clean.npz"
    np.savez(clean, **{key: value[given["identity"] != -1] for key, value in given.items()})  # pyright: ignore[reportArgumentType]
    scores: list[float] = []
    for source, more in ((junky, []), (clean, []), (junky, ["--keep-junk"])):
        out = tmp_path / "r.json"
        command = [
            "evaluate",
            "--query",
            query,
            "--gallery",
            str(source),
            "--method",
            "k-reciprocal:k1=8",
            "--json",
            str(out),
        ]
        assert main([*command, *more]) == 0
        scores.append(json.loads(out.read_text())["methods"]["k-reciprocal:k1=8"]["mAP"])
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] != scores[2]


def test_the_rule_can_be_chosen(files: tuple[str, str], tmp_path: Path) -> None:
    query, gallery = files
    values: set[float] = set()
    for more in ([], ["--rule", "no-camera"], ["--rule", "layumi"], ["--ap", "trapezoid"]):
        out = tmp_path / "r.json"
        command = [
            "evaluate",
            "--query",
            query,
            "--gallery",
            gallery,
            "--method",
            "cosine",
            "--json",
            str(out),
            *more,
        ]
        assert main(command) == 0
        values.add(json.loads(out.read_text())["methods"]["cosine"]["mAP"])
    assert len(values) >= 3


def test_answers_of_other_programs_stand_beside_methods(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    both = ["--query", query, "--gallery", gallery]
    whole, cut, matrix, out = (
        str(tmp_path / name) for name in ("whole.npz", "cut.npz", "d.npy", "r.json")
    )
    assert main(["rerank", "k-reciprocal:k1=8", *both, "--top", "1000", "--out", whole]) == 0
    assert main(["rerank", "k-reciprocal:k1=8", *both, "--top", "7", "--out", cut]) == 0
    (queries, _), (images, _) = load_features(query), load_features(gallery)
    np.save(
        matrix,
        np.concatenate(
            [block.distance for block in KReciprocal(k1=8).distances(queries, Gallery(images))]
        ),
    )
    methods = ["cosine", "k-reciprocal:k1=8", whole, matrix]
    assert (
        main(
            [
                "evaluate",
                *both,
                *(part for name in methods for part in ("--method", name)),
                "--json",
                out,
            ]
        )
        == 0
    )
    given = json.loads(Path(out).read_text())["methods"]
    for name in (whole, matrix):
        for key in ("mAP", "mAP_interval", "mINP", "cmc", "queries"):
            assert given[name][key] == given["k-reciprocal:k1=8"][key], (name, key)
        assert given[name]["seconds"] is None
        assert given[name]["peak_mb"] is None
    assert given[whole]["setting"] == "transductive"
    assert given[matrix]["setting"] == "unknown"
    capsys.readouterr()
    page = str(tmp_path / "r.html")
    methods = ["k-reciprocal:k1=8", cut, "cosine"]
    words = [*both, *(part for name in methods for part in ("--method", name))]
    assert main(["evaluate", *words, "--json", out, "--report", page]) == 0
    printed, given, text = (
        capsys.readouterr().out,
        json.loads(Path(out).read_text()),
        Path(page).read_text(),
    )
    assert "mAP@7 less the first" in printed
    assert "only the first 7 images" in given["rule"]
    for name in methods:
        assert "mAP" not in given["methods"][name]
    assert (
        given["methods"][cut]["mAP@7"]
        == given["methods"]["k-reciprocal:k1=8"]["mAP@7"]
        != given["methods"]["cosine"]["mAP@7"]
    )
    assert '<th scope="col">mAP@7</th>' in text
    assert ">mAP</th>" not in text
    assert "place in the list" in text


def test_a_method_given_twice_is_refused(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--query", files[0], "--gallery", files[1], "--json", str(tmp_path / "r.json")]
    assert main(["evaluate", *both, "--method", "cosine", "--method", "cosine"]) == 2
    assert "--method cosine is given 2 times" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_vectors_of_two_embedders_are_refused(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named: dict[str, str] = {}
    for name in ("one", "other"):
        named[name] = str(tmp_path / f"{name}.npz")
        np.savez(named[name], **np.load(files[1]), embedder=np.array(name))
    for command in (
        ["evaluate", "--method", "cosine"],
        ["rerank", "cosine", "--out", str(tmp_path / "r.npz")],
    ):
        assert main([*command, "--query", named["one"], "--gallery", named["other"]]) == 2
        said = capsys.readouterr().err
        assert "one.npz and" in said
        assert "made by two embedders (one, other)" in said
        assert main([*command, "--query", named["one"], "--gallery", named["one"]]) == 0
        assert main([*command, "--query", files[0], "--gallery", named["other"]]) == 0
        capsys.readouterr()


def test_a_wrong_answer_is_refused_before_the_work(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    np.save(tmp_path / "d.npy", np.zeros((3, 4)))
    both = ["--query", query, "--gallery", gallery, "--method", "cosine"]
    assert main(["evaluate", *both, "--method", str(tmp_path / "d.npy")]) == 2
    said = capsys.readouterr()
    assert "d.npy: 3 rows of distances" in said.err
    assert said.err.count("\n") == 1
    assert "mAP" not in said.out


def test_metrics_can_be_chosen(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    command = ["evaluate", "--query", query, "--gallery", gallery, "--method", "cosine"]
    command += ["--method", "k-reciprocal:k1=8"]
    chosen = [*command, "--metrics", "rank-3,MAP", "--metrics", "rank-7"]
    assert main([*chosen, "--json", str(out), "--report", str(page)]) == 0
    head = capsys.readouterr().out.splitlines()[1].split("  ")
    assert [name.strip() for name in head if name.strip()] == [
        "method",
        "setting",
        "rank-3",
        "mAP",
        "rank-7",
        "rank-3 less the first",
        "s",
        "MB",
    ]
    row = json.loads(out.read_text())["methods"]["cosine"]
    queries, query_labels = load_features(query)
    images, image_labels = load_features(gallery)
    report = evaluate(Cosine(), queries, Gallery(images), query_labels, image_labels)
    assert (row["rank-3"], row["rank-7"], row["mAP"]) == pytest.approx(
        (report.cmc(3), report.cmc(7), report.mean_ap())
    )
    assert row["rank-3_interval"] == pytest.approx(report.interval("rank-3"))
    assert '<th scope="col">rank-3</th><th scope="col">rank-7</th>' in page.read_text()
    assert main([*command, "--metrics", "rank-3,dcg"]) == 2
    said = capsys.readouterr().err
    assert "metric 'dcg' is not known: choose from mAP, rank-K" in said
    assert said.count("\n") == 1
