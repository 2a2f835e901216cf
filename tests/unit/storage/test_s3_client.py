"""An endpoint is a server's URL, without credentials in it."""

from __future__ import annotations

import pytest

from pixelbrain.errors import SourceError
from pixelbrain.storage.s3_client import normal_endpoint


def test_endpoints(monkeypatch):
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert normal_endpoint(None) is normal_endpoint("") is None
    assert normal_endpoint("http://localhost:9000/") == "http://localhost:9000"
    assert normal_endpoint(" https://S3.example.com/base/path/ ") == "https://S3.example.com/base/path"
    assert normal_endpoint("http://[::1]:9000") == "http://[::1]:9000"
    for wrong in ("localhost:9000", "ftp://h", "http://", "http://h:port", "h", "http://u:secret@h", "http://h/?a=b"):
        with pytest.raises(SourceError, match="write it as http://localhost:9000") as caught:
            normal_endpoint(wrong)
        assert "secret" not in str(caught.value).replace("AWS_SECRET", "")
