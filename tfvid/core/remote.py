"""Results in an object store (``s3://``, ``gs://``), where no file can be renamed.

The films and pictures of a shard are written first, the part of ``results.parts`` that names them last. An object
appears whole or not at all. So a shard is done if and only if its part exists.
"""

from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as arrow_fs

from tfvid.core.errors import DataError

PARTS = "results.parts"
MERGED = "results.parquet"


def is_remote(place) -> bool:
    """Returns whether `place` is a URI, not a path."""
    return "://" in str(place)


class RemoteFolder:
    """A folder given by its URI. PyArrow opens it, or fsspec if PyArrow does not support the scheme.

    Args:
      uri: e.g. "s3://bucket/run". PyArrow reads endpoints and keys from the environment or from the URI.

    Raises:
      DataError: the scheme is unknown, or the store does not respond.
    """

    def __init__(self, uri: str):
        self.uri = uri.rstrip("/")
        try:
            self.files, self.path = arrow_fs.FileSystem.from_uri(self.uri)
        except Exception as error:  # Arrow raises its own types, fsspec those of other libraries
            self.files, self.path = self._by_fsspec(error)

    def names(self, folder: str = "") -> list[str]:
        """Returns the files below `folder`, relative to this folder, sorted."""
        base = f"{self.path}/{folder}".rstrip("/")
        with self._plain_errors():
            found = self.files.get_file_info(arrow_fs.FileSelector(base, recursive=True, allow_not_found=True))
        return sorted(info.path[len(self.path) :].lstrip("/") for info in found if info.is_file)

    def upload(self, folder: Path):
        """Copies all files of a local folder into this one, the files of ``results.parts`` last."""
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        for file in sorted(files, key=lambda path: PARTS in path.relative_to(folder).parts):
            self.put(file, file.relative_to(folder).as_posix())

    def put(self, file: Path, name: str):
        """Copies one local file into this folder; it appears whole or not at all."""
        with self._plain_errors():
            self.files.create_dir(f"{self.path}/{name}".rpartition("/")[0], recursive=True)
            with self.files.open_output_stream(f"{self.path}/{name}") as stream:
                stream.write(Path(file).read_bytes())

    def fetch(self, folder: Path):
        """Copies the records, without films, to a local folder, and removes all other records there."""
        wanted = [name for name in self.names() if name == MERGED or name.startswith(f"{PARTS}/")]
        for old in [Path(folder) / MERGED, *(Path(folder) / PARTS).glob("*")]:
            old.unlink(missing_ok=True)
        for name in wanted:
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._plain_errors(), self.files.open_input_stream(f"{self.path}/{name}") as stream:
                target.write_bytes(stream.read())

    def replace_parts(self, folder: Path, names: list[str]):
        """Copies the files at the top of `folder`, also the merged records, here, and removes the parts `names`."""
        for file in sorted(path for path in Path(folder).iterdir() if path.is_file()):
            self.put(file, file.name)
        for name in names:
            with self._plain_errors():
                self.files.delete_file(f"{self.path}/{name}")

    def parts(self) -> list[str]:
        """Returns the names of the parts in this folder."""
        return self.names(PARTS)

    def _by_fsspec(self, reason: Exception):
        try:
            import fsspec

            files, path = fsspec.core.url_to_fs(self.uri)
        except Exception as error:
            why = " ".join(f"{reason}; {error}".split())[:300]
            raise DataError(f"{self.uri}: no file system for this address ({why})") from error
        return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(files)), path.rstrip("/")

    @contextmanager
    def _plain_errors(self):
        """Turns an error of the store into a `DataError` of one line."""
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.uri}: {' '.join(str(error).split())[:300]}") from error
