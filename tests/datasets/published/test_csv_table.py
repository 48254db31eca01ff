from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphreid.datasets.published.csv_table import read


def write(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text)
    return file


def test_all_columns_in_the_order_of_the_table(tmp_path: Path):
    file = write(
        tmp_path,
        "item,path,identity,camera,split,role,view,time,track,comment\n"
        "i2,b/2.jpg,7,c1,test,,front,12.5,t1,x\n"
        "i1,a/1.jpg,0,c2,train,junk,rear,13,t2,y\n",
    )
    plan = read(file)
    first, second = plan.entries
    assert (first.source, first.path, first.item, first.identity) == (
        tmp_path / "b/2.jpg",
        "b/2.jpg",
        "i2",
        "7",
    )
    assert (first.camera, first.split, first.role) == ("c1", "query+gallery", "normal")
    assert dict(first.extra) == {"view": "front", "time": "12.5", "track": "t1"}
    assert (second.split, second.role) == ("train", "junk")
    assert "columns left out: comment" in plan.notes[0]


def test_without_a_split_identities_are_drawn(tmp_path: Path):
    file = write(
        tmp_path, "path,identity\n" + "".join(f"{row}.jpg,{row % 4}\n" for row in range(8))
    )
    plan = read(file, test_share=0.25, seed=3)
    assert len({entry.identity for entry in plan.entries if entry.split == "query+gallery"}) == 1
    assert {entry.camera for entry in plan.entries} == {None}
    assert plan == read(file, test_share=0.25, seed=3)


def test_paths_cannot_leave_the_data_folder(tmp_path: Path):
    file = write(
        tmp_path,
        "path,identity,split\n../../etc/x.jpg,1,train\n/abs/y.jpg,1,train\nd\\z.jpg,1,train\n",
    )
    assert [entry.path for entry in read(file).entries] == ["etc/x.jpg", "abs/y.jpg", "d/z.jpg"]
    assert [entry.item for entry in read(file).entries] == [
        "../../etc/x.jpg",
        "/abs/y.jpg",
        "d\\z.jpg",
    ]


def test_parquet_is_read_too(tmp_path: Path):
    file = tmp_path / "list.parquet"
    pq.write_table(pa.table({"path": ["1.jpg"], "identity": [17], "split": ["train"]}), file)
    assert read(file).entries[0].identity == "17"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,id\na,1\n", r"list\.csv: column identity is missing; it has path, id"),
        ("path,identity\na,1\n,2\n", r"path is empty in row 1"),
        ("path,identity,camera\na,1,1\nb,2,\n", "camera is empty in row 1"),
        ("path,identity,split\na,1,tset\n", "split is 'tset' in row 0"),
        ("path,identity,role\na,1,bad\n", "role is 'bad' in row 0"),
        ("path,identity\na,1\nb,1\na,2\n", r"list\.csv: path 'a' stands in rows 0 and 2"),
        ("path,identity,item\na,1,x\nb,1,x\n", r"list\.csv: item 'x' stands in rows 0 and 1"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, text))


def test_a_draw_with_a_split_is_refused(tmp_path: Path):
    file = write(tmp_path, "path,identity,split\na,1,train\n")
    with pytest.raises(ValueError, match="has a column split: leave out --test-share"):
        read(file, seed=1)
