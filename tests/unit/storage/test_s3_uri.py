"""A URI is taken as it stands, and a listing and a read agree on an object's version."""

from __future__ import annotations

from datetime import datetime, timezone

from pixelbrain.storage.s3_uri import split_s3_uri, version_of


def test_a_uri_is_taken_as_it_stands():
    assert split_s3_uri("s3://b/a%2Fb+c d#e?f//g/") == ("b", "a%2Fb+c d#e?f//g/")
    assert split_s3_uri("s3://b") == split_s3_uri("s3://b/") == ("b", "")
    assert split_s3_uri("s3://b//a") == ("b", "/a")


def test_versions():
    assert version_of('"abc-2"', None, 3) == version_of('W/"abc-2"', None, 3) == "abc-2"
    assert version_of(None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), 6) == "20260102T030405Z-6"
