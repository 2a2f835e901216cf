from pixelbrain.report.gallery import names


def test_a_local_name_is_decoded_and_its_link_is_not():
    image_id = "file:///photos/caf%C3%A9%20%231%3F%25.jpg"
    assert names.full_name(image_id) == "/photos/café #1?%.jpg"
    assert names.short_name(image_id) == "café #1?%.jpg"
    assert names.href(image_id) == image_id


def test_a_link_encodes_what_the_id_did_not():
    link = names.href("file:///a b#1?\"'<img src=x>\n.jpg")
    assert link == "file:///a%20b%231%3F%22%27%3Cimg%20src=x%3E%0A.jpg"


def test_only_files_on_disk_have_links():
    assert names.href("s3://bucket/a%20b.jpg") is None
    assert names.href("javascript:alert(1)") is None
    assert names.href("https://example.com/a.jpg") is None


def test_an_s3_key_is_shown_as_it_stands():
    assert names.full_name("s3://bucket/a%20b.jpg") == "s3://bucket/a%20b.jpg"
    assert names.short_name("s3://bucket/2024/a%20b.jpg") == "a%20b.jpg"


def test_a_name_that_is_not_utf8_is_shown_with_replacement_characters():
    assert names.short_name("file:///photos/%FF.jpg") == "\ufffd.jpg"


def test_control_characters_and_direction_marks_do_not_reach_the_page():
    assert names.visible("a\nb\tc\x7f") == "a␊b␉c␡"
    assert names.visible("photo\u202egpj.exe") == "photogpj.exe"
    assert names.visible("a\u2028b") == "a\ufffdb"
    assert names.visible("naïve 😀 日本") == "naïve 😀 日本"


def test_slugs_are_safe_stable_and_different():
    texts = ["tiger cat", "tiger/cat", "Tiger cat", "../../etc/passwd", "", "日本", "a" * 500, "con", "x\0y"]
    slugs = [names.slug(text) for text in texts]
    assert len({slug.lower() for slug in slugs}) == len(texts)
    assert all(len(slug) <= 57 for slug in slugs)
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)
    assert slugs == [names.slug(text) for text in texts]
    assert slugs[0].startswith("tiger-cat-")


def test_generated_ids_are_counted_and_names_stay():
    assert names.display_names(["person-3f2a9c1b0d22", "Ada\n", "person-0011223344ff"], "Person") == {
        "person-3f2a9c1b0d22": "Person 1",
        "Ada\n": "Ada␊",
        "person-0011223344ff": "Person 3",
    }
