from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphreid.features.readers.tables import read_table


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_text_with_any_separator_and_a_byte_order_mark(tmp_path: Path, mark: str):
    file = tmp_path / "t.csv"
    text = f'path{mark}identity\r\n"a{mark}b.jpg"{mark} 017\r\n\r\nc.jpg{mark}é\r\n'
    file.write_bytes(text.encode("utf-8-sig"))
    assert read_table(file) == {"path": [f"a{mark}b.jpg", "c.jpg"], "identity": ["017", "é"]}


def test_parquet_as_text(tmp_path: Path):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"identity": [7, None, -1], "path": ["a", "b", "c"]}), file)
    assert read_table(file) == {"identity": ["7", "", "-1"], "path": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"a,b\n1,2\n3\n", r"t\.csv: line 3 has 1 values, and the header has 2"),
        ("t.csv", b"a,a\n1,2\n", "two columns have one name"),
        ("t.csv", b"a,b\n", "the table has no rows"),
        ("t.csv", b"", "the table has no rows"),
        ("t.csv", b"a,b\n\xff\xfe,1\n", r"t\.csv: not a readable table"),
        ("t.csv", b'a,b\n"1,2\n', r"t\.csv: not a readable table"),
        ("t.parquet", b"a,b\n1,2\n", r"t\.parquet: not a readable table"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
def test_a_missing_table_is_named(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=f"{name}: No such file"):
        read_table(tmp_path / name)
