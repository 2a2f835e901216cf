"""What needs no server: URIs that name nothing, and what a listing covers."""

from __future__ import annotations

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_bytes


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://", "no bucket in 's3://'"),
        ("s3:///a.jpg", "no bucket in"),
        ("s3://key:secret@b/a.jpg", "no user or password goes into an s3:// URI"),
        ("s3://a b/c", "no bucket can be called 'a b'"),
        ("s3://arn:aws:s3:us-east-1:1:accesspoint/x/y", "an access point's alias"),
    ],
)
def test_no_such_uri(uri, expected):
    with pytest.raises(SourceError, match=expected) as caught:
        open_source(uri)
    assert "secret@" not in str(caught.value)
    with pytest.raises(ReadError, match=expected):
        read_bytes(uri)


@pytest.mark.parametrize(
    ("source", "image_id", "covered"),
    [
        ("s3://b", "s3://b/a.jpg", True),
        ("s3://b", "s3://b/a/b.JPG", True),
        ("s3://b", "s3://b/a.txt", False),
        ("s3://b", "s3://bb/a.jpg", False),
        ("s3://b/a", "s3://b/a/c.jpg", True),
        ("s3://b/a", "s3://b/a/b/c.jpg", True),
        ("s3://b/a", "s3://b/ab/c.jpg", False),
        ("s3://b/a/", "s3://b/a/c.jpg", True),
        ("s3://b/a/", "s3://b/c.jpg", False),
        ("s3://b/a.jpg", "s3://b/a.jpg", True),
        ("s3://b/scan", "s3://b/scan", True),
        ("s3://b/a", "file:///a/c.jpg", False),
        ("/photos", "file:///photos/a.jpg", True),
        ("/photos/", "file:///photos/deep/%C3%BC%20%231.jpg", True),
        ("/photos", "file:///photos-old/a.jpg", False),
        ("/photos", "file:///photos/a.txt", False),
        ("/photos/a.jpg", "file:///photos/a.jpg", True),
        ("/photos/a.jpg", "file:///photos/b.jpg", False),
        ("/", "file:///a.jpg", True),
        ("/photos", "s3://photos/a.jpg", False),
        ("file:///p%20q", "file:///p%20q/a.jpg", True),
        ("file:///p%20q/list.csv", "file:///p%20q/a.jpg", False),
        ("/photos/list.csv", "file:///photos/a.jpg", False),  # a list is of a part of the images
    ],
)
def test_what_a_listing_covers(source, image_id, covered):
    assert open_source(source).covers(image_id) is covered
