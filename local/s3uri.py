"""S3 addresses."""

from dataclasses import dataclass

from local.errors import StepError


@dataclass(frozen=True)
class S3Uri:
    """`s3://bucket/key`."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "S3Uri":
        """Read an address; StepError when it is none."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not bucket:
            raise StepError(f"{uri!r} is not an S3 address; it must look like s3://bucket/prefix")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def child(self, name: str) -> "S3Uri":
        """The address of `name` below this one."""
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def relative(self, key: str) -> str | None:
        """What remains of `key` below this address: its name for this very object, None when it lies elsewhere.

        Prefixes end at a slash here: `photos` does not match `photos-2/1.jpg`, though S3 itself would say so."""
        if key == self.key:
            return key.rpartition("/")[2]
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        return key.removeprefix(prefix) if key.startswith(prefix) and key != prefix else None
