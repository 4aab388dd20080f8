"""A store of rows in Parquet files, which stay valid if the process is killed and are read in batches.

    <folder>/<name>.parquet          all rows after `RowStore.merge`
    <folder>/<name>.parts/*.parquet  the rows appended since then

A part is written completely or not at all. The key of a row is its model and its clip; a later row replaces an earlier
one with the same key. If a later version adds a column, older rows have the column's default value.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfvid.core.errors import DataError
from tfvid.core.files import replacing

VERSION = b"tfvid.version"
KEY = ["model", "id"]
ROWS_AT_ONCE = 256  # a row with its map takes up to about 100 KB


class RowStore:
    """One table in a folder.

    Args:
      folder: the folder, which the first `append` creates.
      name: of the file, without its suffix.
      schema: has the string columns ``model`` and ``id``, and ``tfvid.version`` in its metadata.
      defaults: the default values of the columns that older files may lack.
    """

    def __init__(self, folder, name: str, schema: pa.Schema, defaults: Mapping[str, object] | None = None):
        self.folder, self.name, self.schema, self.defaults = Path(folder), name, schema, dict(defaults or {})
        self.merged, self.parts = self.folder / f"{name}.parquet", self.folder / f"{name}.parts"

    def files(self) -> list[Path]:
        """Returns the files that hold the rows, oldest first."""
        return [file for file in [self.merged] if file.exists()] + sorted(self.parts.glob("part-*.parquet"))

    def append(self, rows: pa.Table, name: str | None = None):
        """Writes `rows` as one part. After this call returns, they are kept even if the process is killed.

        Args:
          rows: a table with the store's schema.
          name: of the part, which replaces a part with the same name; None: a new part after all existing ones.
        """
        if name is None:
            last = max((int(file.stem.split("-")[1]) for file in self.parts.glob("part-[0-9]*.parquet")), default=0)
            # Runs in one folder must not overwrite each other's parts; in containers even process ids may be equal.
            name = f"{last + 1:06d}-{secrets.token_hex(4)}"
        with replacing(self.parts / f"part-{name}.parquet") as temporary:
            pq.write_table(rows, temporary)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Reads the rows in batches, in the order in which they were written; of rows with equal keys only the last.

        Args:
          columns: the columns to read; None: all.

        Yields:
          Tables of at most `ROWS_AT_ONCE` rows.

        Raises:
          DataError: a file cannot be read or has another version.
        """
        files, names = self.files(), self.schema.names if columns is None else columns
        for file, kept in zip(files, self._last(files), strict=True):
            start = 0
            with self._opened(file) as source:
                stored = [name for name in names if name in source.schema_arrow.names]
                for batch in source.iter_batches(ROWS_AT_ONCE, columns=stored):
                    chosen = kept[start : start + batch.num_rows]
                    start += batch.num_rows
                    if chosen.any():
                        yield self._filled(pa.Table.from_batches([batch]).filter(pa.array(chosen)), names)

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Reads all rows into one table.

        Args:
          columns: the columns to read; None: all.

        Raises:
          DataError: a file cannot be read or has another version.
        """
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return pa.concat_tables([schema.empty_table(), *self.batches(columns)])

    def merge(self):
        """Writes all rows into one file and removes the parts."""
        parts = sorted(self.parts.glob("part-*.parquet"))
        if not parts:
            return
        with replacing(self.merged) as temporary, pq.ParquetWriter(temporary, self.schema) as writer:
            for table in _gathered(self.batches()):
                writer.write_table(table.cast(self.schema))
        # If the process is killed in this loop, rows exist twice; `_last` selects one of them.
        for part in parts:
            part.unlink()
        with suppress(OSError):  # the folder is not empty if another run has just written a part
            self.parts.rmdir()

    def _last(self, files: list[Path]) -> list[np.ndarray]:
        """Returns, for each file, a bool per row: whether no later row has the same key."""
        seen, kept = set(), []
        for file in reversed(files):
            with self._opened(file) as source:
                keys = [tuple(row.values()) for row in source.read(columns=KEY).select(KEY).to_pylist()]
            rows = np.zeros(len(keys), bool)
            for row in reversed(range(len(keys))):
                rows[row] = keys[row] not in seen
                seen.add(keys[row])
            kept.append(rows)
        return kept[::-1]

    @contextmanager
    def _opened(self, file: Path):
        expected = self.schema.metadata[VERSION].decode()
        try:
            with pq.ParquetFile(file) as source:
                version = (source.schema_arrow.metadata or {}).get(VERSION, b"none").decode()
                if version != expected:
                    raise DataError(f"{file}: expected {self.name} of version {expected}, got version {version}")
                self._check_columns(file, source.schema_arrow)
                yield source
        except DataError:
            raise
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:  # ValueError: text that is not UTF-8
            raise DataError(f"{file}: cannot read these {self.name} ({' '.join(str(error).split())[:200]})") from error

    def _filled(self, rows: pa.Table, names: list[str]) -> pa.Table:
        """Returns the columns `names` of `rows`; columns that an older file lacks get their default values."""
        missing = [name for name in names if name not in rows.column_names]
        for name in missing:
            column = self.schema.field(name)
            rows = rows.append_column(column, pa.array([self.defaults[name]] * len(rows), column.type))
        return rows.select(names) if missing else rows

    def _check_columns(self, file: Path, found: pa.Schema):
        for column in self.schema:
            place = found.get_field_index(column.name)
            if place < 0 and column.name in self.defaults:
                continue
            kind = "none" if place < 0 else found.field(place).type
            if kind != column.type:
                raise DataError(f"{file}: expected a column {column.name!r} of {column.type}, got {kind}")


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Combines small tables, so that the row groups of a merged file are not small."""
    waiting, rows = [], 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if rows >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
