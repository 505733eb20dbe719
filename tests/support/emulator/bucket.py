"""S3's answers, from files in a folder: ranges, conditions, lists, multipart uploads; path style."""

import email.utils
import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, unescape

XML = {"Content-Type": "application/xml"}
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
Headers = dict[str, str]
Query = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """A response: either `body`, or `length` bytes of the open file `source` from `start`."""

    status: int
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    source: Path | None = None
    start: int = 0
    length: int = 0


def error(status: int, code: str, key: str = "") -> Answer:
    """An error in S3's form."""
    body = f"{_HEAD}<Error><Code>{code}</Code><Message>{code}</Message><Key>{escape(key)}</Key></Error>"
    return Answer(status, XML, body.encode())


class Buckets:
    """The buckets of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, dict[int, Path]] = {}

    def answer(self, method: str, bucket: str, key: str, query: Query, headers: Headers, body: bytes) -> Answer:
        """Carry out one request."""
        if not bucket:
            return self._list_buckets()
        root = self._folder / bucket
        if not key:
            return self._bucket(method, root, query, body)
        if not root.is_dir():
            return error(404, "NoSuchBucket")
        path = self.path(bucket, key)
        if "uploads" in query or "uploadId" in query:
            return self._multipart(method, path, bucket, key, query, body)
        if method == "PUT":
            if headers.get("if-none-match") == "*" and path.exists():
                return error(412, "PreconditionFailed", key)
            _write(path, lambda temporary: temporary.write_bytes(body))
            return Answer(200, {"ETag": etag(path)})
        if method == "DELETE":
            path.unlink(missing_ok=True)
            return Answer(204)
        return _read(path, key, headers)

    def path(self, bucket: str, key: str) -> Path:
        """The file of an object."""
        return self._folder / bucket / quote(key, safe="")

    def _list_buckets(self) -> Answer:
        names = [path.name for path in self._folder.iterdir() if path.is_dir()]
        entries = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
        text = f"{_HEAD}<ListAllMyBucketsResult><Buckets>{entries}</Buckets></ListAllMyBucketsResult>"
        return Answer(200, XML, text.encode())

    def _bucket(self, method: str, root: Path, query: Query, body: bytes) -> Answer:
        if method == "PUT":
            root.mkdir(exist_ok=True)
            return Answer(200)
        if not root.is_dir():
            return error(404, "NoSuchBucket")
        if method == "POST" and "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                (root / quote(unescape(key), safe="")).unlink(missing_ok=True)
            return Answer(200, XML, f"{_HEAD}<DeleteResult></DeleteResult>".encode())
        return _list(root, query) if method == "GET" else Answer(200)

    def _multipart(self, method: str, path: Path, bucket: str, key: str, query: Query, body: bytes) -> Answer:
        upload = query.get("uploadId") or f"{random.getrandbits(64):x}"
        if "uploads" in query:
            self._uploads[upload] = {}
            names = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            text = f"{_HEAD}<InitiateMultipartUploadResult>{names}</InitiateMultipartUploadResult>"
            return Answer(200, XML, text.encode())
        if upload not in self._uploads:
            return error(404, "NoSuchUpload", key)
        if method == "PUT":
            number = int(query["partNumber"])
            part = self._uploads[upload][number] = self._folder / f".part-{upload}-{number}"
            part.write_bytes(body)
            return Answer(200, {"ETag": f'"{number}"'})
        parts = self._uploads.pop(upload)
        if method == "DELETE":
            return Answer(204)
        _write(path, lambda temporary: _join([parts[number] for number in sorted(parts)], temporary))
        text = (
            f"{_HEAD}<CompleteMultipartUploadResult><ETag>{escape(etag(path))}</ETag></CompleteMultipartUploadResult>"
        )
        return Answer(200, XML, text.encode())


def etag(path: Path) -> str:
    """The version of an object."""
    status = path.stat()
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


def _write(path: Path, fill: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{random.getrandbits(64):x}")
    fill(temporary)
    temporary.replace(path)


def _join(parts: list[Path], target: Path) -> None:
    with target.open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined)
            part.unlink()


def _read(path: Path, key: str, headers: Headers) -> Answer:
    if not path.exists():
        return error(404, "NoSuchKey", key)
    size, version = path.stat().st_size, etag(path)
    modified = email.utils.formatdate(path.stat().st_mtime, usegmt=True)
    shown = {"ETag": version, "Last-Modified": modified, "Accept-Ranges": "bytes"}
    if headers.get("if-match", version) != version:
        return error(412, "PreconditionFailed", key)
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
    if found is None:
        return Answer(200, shown, source=path, length=size)
    start, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if start >= size:
        return error(416, "InvalidRange", key)
    shown["Content-Range"] = f"bytes {start}-{last}/{size}"
    return Answer(206, shown, source=path, start=start, length=last - start + 1)


def _list(root: Path, query: Query) -> Answer:
    after = query.get("continuation-token") or query.get("start-after", "")
    prefix, most = query.get("prefix", ""), int(query.get("max-keys", "1000"))
    names = sorted(unquote(path.name) for path in root.iterdir() if not path.name.startswith("."))
    names = [name for name in names if name.startswith(prefix) and name > after]
    page = names[:most]
    shown = quote if query.get("encoding-type") == "url" else escape
    entries = []
    for name in page:
        status = (root / quote(name, safe="")).stat()
        modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(status.st_mtime))
        entries.append(
            f"<Contents><Key>{shown(name)}</Key><LastModified>{modified}</LastModified><Size>{status.st_size}</Size>"
            "</Contents>"
        )
    is_cut = len(names) > most
    token = f"<NextContinuationToken>{shown(page[-1])}</NextContinuationToken>" if is_cut else ""
    counts = (
        f"<KeyCount>{len(page)}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{str(is_cut).lower()}</IsTruncated>"
    )
    text = (
        f"{_HEAD}<ListBucketResult><Prefix>{shown(prefix)}</Prefix>{counts}{token}{''.join(entries)}</ListBucketResult>"
    )
    return Answer(200, XML, text.encode())
