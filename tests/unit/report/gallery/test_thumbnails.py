from pathlib import Path

import pytest
from PIL import Image

from pixelbrain.errors import ReadError
from pixelbrain.images.thumbnail import FACE_PX, face_crop_box
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.report.gallery.thumbnails import face_path, make_thumbnails, thumbnail_path, thumbnail_size
from pixelbrain.sources import read_bytes


def face(x1: float, y1: float, x2: float, y2: float) -> GalleryFace:
    return GalleryFace("id#0", x1, y1, x2, y2, 0.9)


def test_sizes_keep_the_shape_and_never_enlarge():
    assert thumbnail_size(Photo("a", "1", 1, 4000, 3000)) == (320, 240)
    assert thumbnail_size(Photo("a", "1", 1, 30, 3000)) == (3, 320)
    assert thumbnail_size(Photo("a", "1", 1, 80, 60)) == (80, 60)
    assert thumbnail_size(Photo("a", "1", 1, 5000, 1)) == (320, 1)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((40, 40, 60, 60), (35, 35, 65, 65)),  # a quarter more on each side
        ((40, 30, 60, 70), (20, 20, 80, 80)),  # square, around the longer side
        ((-5, 0, 15, 20), (0, 0, 30, 30)),  # moved into the photo
        ((90, 90, 110, 110), (70, 70, 100, 100)),
        ((0, 0, 100, 100), (0, 0, 100, 100)),  # no larger than the photo
        ((50, 50, 50, 50), (49.25, 49.25, 50.75, 50.75)),  # no box at all
    ],
)
def test_face_crops_are_squares_inside_the_photo(box, expected):
    assert face_crop_box(box, 100, 100) == pytest.approx(expected)


def test_thumbnails_and_crops_are_made_once(photo_file, tmp_path: Path):
    image_id = photo_file("a.jpg", (1000, 500))
    photo = Photo(image_id, "1", 1, 1000, 500, faces=(face(700, 100, 800, 200),))
    out, reads, calls = tmp_path / "report", [], []

    def read(image_id: str) -> bytes:
        reads.append(image_id)
        return read_bytes(image_id)

    for _ in range(2):
        missing = make_thumbnails([photo], out, read=read, progress=lambda *call: calls.append(call))
        assert missing == set()
    assert reads == [image_id]
    assert calls[-1] == (1, 1)
    with (
        Image.open(out / thumbnail_path(photo)) as thumbnail,
        Image.open(out / face_path(photo, photo.faces[0])) as crop,
    ):
        assert thumbnail.size == (320, 160)
        assert thumbnail.getpixel((20, 80))[0] > 200  # red on the left
    with Image.open(out / face_path(photo, photo.faces[0])) as crop:
        assert crop.size == (FACE_PX, FACE_PX)
        assert crop.getpixel((FACE_PX // 2, FACE_PX // 2))[2] > 200  # the face is in the blue half


def test_the_face_of_a_turned_photo_is_upright(photo_file, tmp_path: Path):
    photo = Photo(photo_file("a.jpg", (1000, 500)), "1", 1, 1000, 500, faces=(face(450, 200, 550, 300),), turn=180)
    make_thumbnails([photo], tmp_path, read=read_bytes)
    with Image.open(tmp_path / face_path(photo, photo.faces[0])) as crop:
        assert (
            crop.getpixel((20, FACE_PX // 2))[2] > 200 > 50 > crop.getpixel((20, FACE_PX // 2))[0]
        )  # blue on the left


def test_another_version_is_another_file_and_the_old_one_goes(photo_file, tmp_path: Path):
    image_id, out = photo_file("a.jpg"), tmp_path / "report"
    make_thumbnails([Photo(image_id, "1", 1, 80, 60, faces=(face(1, 1, 20, 20),))], out, read=read_bytes)
    assert len(list(out.rglob("*.jpg"))) == 2
    newer = Photo(image_id, "2", 1, 80, 60)
    make_thumbnails([newer], out, read=read_bytes)
    assert list(out.rglob("*.jpg")) == [out / thumbnail_path(newer)]


def test_a_photo_that_is_gone_is_missing_and_the_others_are_made(photo_file, tmp_path: Path):
    here = Photo(photo_file("here.jpg"), "1", 1, 80, 60)
    gone = Photo("file:///nowhere/gone.jpg", "1", 1, 80, 60, faces=(face(1, 1, 20, 20),))
    broken_file = tmp_path / "photos" / "broken.jpg"
    broken_file.write_bytes(b"no image any more")
    broken = Photo(broken_file.as_uri(), "1", 1, 80, 60)
    missing = make_thumbnails([gone, here, broken], tmp_path / "report", read=read_bytes)
    assert missing == {thumbnail_path(gone), face_path(gone, gone.faces[0]), thumbnail_path(broken)}
    assert (tmp_path / "report" / thumbnail_path(here)).is_file()


def test_a_file_that_shrank_since_it_landed_is_still_cropped(photo_file, tmp_path: Path):
    photo = Photo(photo_file("a.jpg", (40, 30)), "1", 1, 4000, 3000, faces=(face(3900, 2900, 4000, 3000),))
    assert make_thumbnails([photo], tmp_path / "report", read=read_bytes) == set()
    assert (tmp_path / "report" / face_path(photo, photo.faces[0])).is_file()


def test_many_photos_and_no_thread_is_lost(photo_file, tmp_path: Path):
    ids = [photo_file(f"{i}.jpg", (16, 12)) for i in range(60)]
    photos = [Photo(image_id, "1", 1, 16, 12) for image_id in ids]
    make_thumbnails(photos, tmp_path / "report", read=read_bytes, threads=3)
    assert len(list((tmp_path / "report").rglob("*.jpg"))) == 60
    assert not list((tmp_path / "report").rglob("*.tmp"))


def test_an_error_that_is_not_the_photos_is_raised(photo_file, tmp_path: Path):
    def read(image_id: str) -> bytes:
        raise RuntimeError("a bug")

    photos = [Photo(photo_file(f"{i}.jpg"), "1", 1, 80, 60) for i in range(20)]
    with pytest.raises(RuntimeError, match="a bug"):
        make_thumbnails(photos, tmp_path / "report", read=read)


def test_a_reader_may_say_no(tmp_path: Path):
    def read(image_id: str) -> bytes:
        raise ReadError("access denied")

    photo = Photo("s3://bucket/a.jpg", "1", 1, 80, 60)
    assert make_thumbnails([photo], tmp_path / "report", read=read) == {thumbnail_path(photo)}


def test_what_is_too_large_is_missing(tmp_path: Path):
    file = tmp_path / "large.png"
    Image.new("RGB", (80, 60)).save(file)
    photo = Photo(file.as_uri(), "1", 1, 80, 60)
    assert make_thumbnails([photo], tmp_path / "report", read=read_bytes, max_pixels=4799) == {thumbnail_path(photo)}
    assert make_thumbnails([photo], tmp_path / "report", read=read_bytes, max_pixels=4800) == set()
