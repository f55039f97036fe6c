from ocrlty_api.incoming.contents import content_digest

IMAGE = b"\x89PNG"


def test_the_same_content_has_the_same_digest_in_whatever_order_it_was_written():
    one = content_digest(task_id="t", debug={"a": 1, "b": None}, image=IMAGE)
    assert one == content_digest(image=bytearray(IMAGE), debug={"b": None, "a": 1}, task_id="t")
    assert len(one) == 64


def test_other_content_has_another_digest():
    asked = [
        {"task_id": "t"},
        {"task_id": "t", "limit": None},
        {"task_id": "t", "limit": 1},
        {"task_id": "t", "limit": "1"},
        {"task_id": "t", "limit": 1.5},
        {"task_id": "t", "limit": True},
        {"task_id": ["t"]},
        {"image": IMAGE},
        {"image": IMAGE.decode("latin-1")},
        {"image": b""},
    ]
    assert len({content_digest(**parts) for parts in asked}) == len(asked)
