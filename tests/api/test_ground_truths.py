"""The registry of ground truths: versions, lost updates, drafts, and whose they are."""

import orjson
import pytest

from tests.support.requests import error_of, new_id, succeeded
from tests.support.stored_runs import ANSWER, store_image_set, store_run

ALL = "/v1/ground_truths"
FILES = ["0.jpg", "1.jpg", "2.jpg"]
CONTENT = [{"file": "0.jpg", "company": "ACME"}, {"file": "other.jpg", "company": "Other"}]
BAD_CONTENTS = (
    b'{"image_set": "%s", "content": [{"file": "0.jpg", "total": NaN}]}',
    b'{"image_set": "%s", "content": [{"file": "0.jpg", "total": 1e999}]}',
    b'{"image_set": "%s", "content": [{"file": "0.jpg", "a": 1, "a": 2}]}',
    b'{"image_set": "%s", "content": [{"file": "0.jpg", "a": "\\ud800"}]}',
    b'{"image_set": "%s", "content": [{"file": "0.jpg", "a": "\\u0000"}]}',
    b'{"image_set": "%s", "content": [{"file": "nobody.jpg"}]}',
    b'{"image_set": "%s", "content": [{"name": "0.jpg"}]}',
    b'{"image_set": "%s", "content": "text"}',
    b'{"image_set": "%s", "content": []}',
    b'{"image_set": "%s", "content": [], "unknown": 1}',
    b'{"image_set": "%s"}',
    b'["%s"]',
    b'{"image_set": "%s", ',
)


@pytest.fixture
def image_set(stored):
    """An image set of dora's."""
    name = new_id("set")
    store_image_set(stored, name, FILES, owner="dora")
    return name


@pytest.fixture
def created(dora, image_set):
    """An image set of dora's with a ground truth of hers."""
    succeeded(dora.post(ALL, json={"image_set": image_set, "content": CONTENT}), 201)
    return image_set


def test_a_ground_truth_is_created_read_edited_and_deleted(dora, image_set):
    path = f"{ALL}/{image_set}"
    made = dora.post(ALL, json={"image_set": image_set, "content": CONTENT})
    answer = succeeded(made, 201)
    assert (made.headers["Location"], made.headers["ETag"]) == (path, '"1"')
    assert {name: answer[name] for name in ("version", "owner_key_id", "entry_count", "draft", "images_with")} == {
        "version": 1,
        "owner_key_id": "dora",
        "entry_count": 2,
        "draft": False,
        "images_with": 1,
    }
    assert (answer["images_without"], answer["entries_without_image"]) == (2, 1)
    edit = {"content": {"1.jpg": {"company": "New"}}}
    assert succeeded(dora.put(path, json=edit, headers={"If-Match": '"1"'}))["version"] == 2
    read = dora.get(path)
    assert (read.headers["ETag"], succeeded(read)["content"], read.json()["versions"]) == (
        '"2"',
        edit["content"],
        [1, 2],
    )
    assert succeeded(dora.get(path, params={"version": 1}))["content"] == CONTENT
    error_of(dora.get(path, params={"version": 3}), 404, "not_found")
    error_of(dora.delete(path, headers={"If-Match": '"1"'}), 412, "stale_version")
    assert dora.delete(path).status_code == 204
    for method in ("GET", "DELETE"):
        error_of(dora.request(method, path), 404, "not_found")
    error_of(dora.put(path, json=edit), 404, "not_found")
    assert succeeded(dora.post(ALL, json={"image_set": image_set, "content": CONTENT}), 201)["version"] == 4


def test_a_file_is_taken_as_well_as_json(dora, image_set):
    files = {"file": ("truth.json", orjson.dumps([{"image": "0.jpg", "total": "1"}]), "application/json")}
    data = {"image_set": image_set, "image_key": "image"}
    assert succeeded(dora.post(ALL, files=files, data=data), 201)["source"] == "truth.json"
    files = {"file": ("edited.json", b'{"1.jpg": {}}')}
    assert succeeded(dora.put(f"{ALL}/{image_set}", files=files))["version"] == 2
    error = error_of(dora.put(f"{ALL}/{image_set}", files={"other": ("a.json", b"{}")}), 400)
    assert error["code"] == "bad_multipart"
    error_of(dora.put(f"{ALL}/{image_set}", files={"file": ("a.json", b"{")}), 400, "bad_request")
    error_of(dora.put(f"{ALL}/{image_set}", files={"file": ("a.json", b'{"9.jpg": {}}')}), 422, "ground_truth_error")


def test_an_edit_of_a_version_that_is_no_longer_the_latest_is_refused(dora, created):
    path = f"{ALL}/{created}"
    for tag in ('"1"', "1", 'W/"1"'):
        edit = {"content": [{"file": "0.jpg", "company": tag}]}
        succeeded(dora.put(path, json=edit, headers={"If-Match": tag if tag == '"1"' else "*"}))
        error_of(dora.put(path, json={"content": CONTENT}, headers={"If-Match": tag}), 412, "stale_version")
    error_of(dora.put(path, json={"content": CONTENT}, headers={"If-Match": "abc"}), 400, "bad_request")
    assert succeeded(dora.get(path))["content"] != CONTENT


@pytest.mark.parametrize("body", BAD_CONTENTS)
def test_what_is_no_ground_truth_is_refused_and_not_sent_back(dora, image_set, body):
    data = body.replace(b"%s", image_set.encode())
    answer = dora.post(ALL, content=data, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    error_of(answer, answer.status_code)
    assert len(answer.content) < 2000
    error_of(dora.get(f"{ALL}/{image_set}"), 404)


def test_other_kinds_of_bodies_are_refused(dora, image_set):
    error_of(dora.post(ALL, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    error_of(dora.post(ALL, content=b"{}"), 415, "unsupported_media_type")
    error_of(dora.post(ALL, json={"image_set": "../x", "content": CONTENT}), 400, "input_error")
    error_of(dora.post(ALL, json={"image_set": new_id(), "content": CONTENT}), 422, "image_set_error")


def test_there_is_one_ground_truth_an_image_set(dora, created):
    body = {"image_set": created, "content": CONTENT}
    error = error_of(dora.post(ALL, json=body), 409, "artifact_conflict")
    assert "ACME" not in str(error)


def test_others_ground_truths_and_image_sets_are_as_if_they_were_not(dora, root, alice, bob, stored, created):
    path, theirs = f"{ALL}/{created}", new_id("set")
    store_image_set(stored, theirs, FILES, owner="alice")
    truth = {"image_set": theirs, "content": CONTENT}
    unknown = error_of(dora.post(ALL, json=truth | {"image_set": "unknown"}), 422, "image_set_error")
    error = error_of(dora.post(ALL, json=truth), 422, "image_set_error")
    assert error["message"].replace(theirs, "unknown") == unknown["message"]
    succeeded(root.post(ALL, json=truth), 201)
    for method, options in (("GET", {}), ("PUT", {"json": {"content": CONTENT}}), ("DELETE", {})):
        error_of(dora.request(method, f"{ALL}/{theirs}", **options), 404, "not_found")
        for client in (alice, bob):
            error_of(client.request(method, path, **options), 403, "forbidden")
    assert succeeded(root.put(path, json={"content": {"2.jpg": {}}}))["owner_key_id"] == "dora"
    names = [item["image_set"] for item in succeeded(dora.get(ALL, params={"limit": 200}))["items"]]
    assert created in names
    assert theirs not in names


def test_the_list_is_paged_by_image_set(root, dora, stored):
    made = sorted(new_id("list") for _ in range(5))
    for name in made:
        store_image_set(stored, name, FILES, owner="dora")
        succeeded(dora.post(ALL, json={"image_set": name, "content": CONTENT}), 201)
    seen, cursor = [], {"cursor": "list"}
    while cursor is not None:
        page = succeeded(dora.get(ALL, params={"limit": 2, **cursor}))
        seen += [item["image_set"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert [name for name in seen if name in made] == made
    assert seen == sorted(set(seen))
    for bad in ("", "../x", "a b", "a\n"):
        error_of(root.get(ALL, params={"cursor": bad}), 400, "input_error")


def test_paths_out_of_the_registry_are_refused(root):
    for bad in ("..%2f..%2fx", "%2e%2e%2fx"):
        error_of(root.get(f"{ALL}/{bad}"), 404)
    for bad in ("a%20b", "%2e%2e", "a%0a", "..%5cx"):
        for path in (f"{ALL}/{bad}", f"{ALL}/{bad}/draft"):
            for method in ("GET", "DELETE"):
                error_of(root.request(method, path), 400, "input_error")


def test_a_draft_from_a_run_is_corrected_confirmed_and_only_then_used(dora, stored, image_set):
    run_id, draft = new_id("run"), f"{ALL}/{image_set}/draft"
    store_run(stored, run_id, dict(zip(FILES, [ANSWER, None, ANSWER], strict=True)), owner="dora", image_set=image_set)
    made = succeeded(dora.post(draft, json={"run_id": run_id}), 201)
    assert (made["draft"], made["source_run_id"], made["images_with"], made["images_without"]) == (True, run_id, 2, 1)
    error_of(dora.get(f"{ALL}/{image_set}"), 404)
    error = error_of(dora.post("/v1/debug/eval/batch_vs_gt", json={"run_id": run_id}), 422, "ground_truth_error")
    assert "no ground truth" in error["message"]
    error_of(dora.post(draft, json={"run_id": run_id}), 409)
    drafts = succeeded(dora.get(ALL, params={"draft": True, "limit": 200}))["items"]
    assert image_set in [item["image_set"] for item in drafts]

    content = succeeded(dora.get(draft))["content"] | {"1.jpg": ANSWER}
    assert succeeded(dora.put(draft, json={"content": content}, headers={"If-Match": '"1"'}))["version"] == 2
    error_of(dora.post(f"{draft}/confirm", headers={"If-Match": '"1"'}), 412, "stale_version")
    confirmed = succeeded(dora.post(f"{draft}/confirm", headers={"If-Match": '"2"'}))
    assert (confirmed["draft"], confirmed["version"], confirmed["source_run_id"]) == (False, 1, run_id)
    error_of(dora.get(draft), 404)
    error_of(dora.post(f"{draft}/confirm"), 404)
    scored = succeeded(dora.post("/v1/debug/eval/batch_vs_gt", json={"run_id": run_id}))
    assert (scored["ground_truth_version"], scored["summary"]["scored_count"]) == (1, 3)


def test_drafts_begin_from_one_s_own_runs_over_the_image_set(dora, root, stored, image_set):
    mine, theirs = new_id("run"), new_id("run")
    store_run(stored, mine, {"0.jpg": ANSWER}, owner="dora", image_set=new_id("set"))
    store_run(stored, theirs, {"0.jpg": ANSWER}, owner="alice", image_set=image_set)
    draft = f"{ALL}/{image_set}/draft"
    for run_id in (mine, theirs, "unknown"):
        error_of(dora.post(draft, json={"run_id": run_id}), 404, "not_found")
    succeeded(root.post(draft, json={"run_id": theirs}), 201)
    error_of(dora.get(draft), 404)
    error_of(dora.delete(draft), 404)
    assert root.delete(draft).status_code == 204
