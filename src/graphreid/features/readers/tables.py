"""Reads tables of users (.csv, .tsv, .parquet) as columns of text."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_table(path: str | Path) -> dict[str, list[str]]:
    """Read the columns of a table by name, as text; a missing value is "".

    Files other than .parquet and .pq are read as UTF-8 text with a header line, separated by comma,
    semicolon or tab, whichever is most frequent in the header.

    Raises:
        ValueError: no such file, not a table, no rows, rows of different lengths, or two columns of
            the same name.
    """
    file = Path(path)
    try:
        columns = _parquet(file) if file.suffix.lower() in (".parquet", ".pq") else _text(file)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}: not a readable table ({error})") from None
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from None
    if not columns or not len(next(iter(columns.values()))):
        raise ValueError(f"{file}: the table has no rows")
    return columns


def _text(file: Path) -> dict[str, list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        separator = max(",;\t", key=head.count)
        reader = csv.reader(stream, delimiter=separator, strict=True)
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) != len(names):
            raise ValueError(f"{file}: two columns have one name in the header ({head.strip()})")
        rows: list[list[str]] = []
        for row in reader:
            if row and len(row) != len(names):
                raise ValueError(
                    f"{file}: line {reader.line_num} has {len(row)} values, and the header has "
                    f"{len(names)}"
                )
            if row:
                rows.append(row)
    return {name: [row[index].strip() for row in rows] for index, name in enumerate(names)}


def _parquet(file: Path) -> dict[str, list[str]]:
    with file.open("rb") as stream:
        table = pq.read_table(stream)
    if len(set(table.column_names)) != table.num_columns:
        raise ValueError(f"{file}: two columns have one name")
    return {
        name: pc.fill_null(table[name].cast(pa.string()), "").to_pylist()
        for name in table.column_names
    }
