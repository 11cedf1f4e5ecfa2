"""Sends a job's files to S3."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from local.s3uri import S3Uri

_SINGLE_PUT = TransferConfig(multipart_threshold=2**30, use_threads=False)  # ETag = MD5 of the content, always
_THREADS = 4


def upload_file(s3: Any, path: Path, target: S3Uri) -> None:
    """Upload one file in one request."""
    s3.upload_file(str(path), target.bucket, target.key, Config=_SINGLE_PUT)


def upload_folder(s3: Any, folder: Path, target: S3Uri) -> int:
    """Upload all files below `folder` under `target`; return how many."""
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda p: upload_file(s3, p, target.child(p.relative_to(folder).as_posix())), files))
    return len(files)
