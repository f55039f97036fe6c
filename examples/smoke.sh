#!/usr/bin/env bash
# The whole API once, against a running service: every operation of its OpenAPI document, one line a step.
#
#     OCRLTY_URL=http://127.0.0.1:8000 OCRLTY_API_KEY=... examples/smoke.sh
#
# Needs curl and python3, and a key of role admin (none where the service asks for none). Deletes the runs, ground
# truths and webhooks that it makes; single extracts, inputs and the jobs' history stay, since nothing deletes those.
# Ends with 1 at the first answer that is not as it should be. SMOKE_IMAGES_DIR is a folder of images of the service,
# under its DATA_ROOT; `make demo` makes the one below.
set -euo pipefail

url=${OCRLTY_URL:-http://127.0.0.1:8000}
folder=${SMOKE_IMAGES_DIR:-.ocrlty/demo/images}
task=receipt_fields_v1
id=smoke-$(date +%s)-$$
runs=()
sets=()
webhook=

umask 077
work=$(mktemp -d)
# In a file, since other people of this machine see command lines.
if [ -n "${OCRLTY_API_KEY:-}" ]; then echo "Authorization: Bearer $OCRLTY_API_KEY"; fi >"$work/key"

fail() {
    echo "FAILED: $1" >&2
    if [ -s "$work/body" ]; then head -c 2000 "$work/body" >&2; fi
    exit 1
}

# step STATUS METHOD PATH [CURL OPTION...]: one request; its answer is in $work/body, its headers in $work/headers.
step() {
    local wanted=$1 method=$2 path=$3 status
    shift 3
    : >"$work/body"
    status=$(curl --silent --show-error --max-time 300 --request "$method" --header "@$work/key" --output "$work/body" \
        --dump-header "$work/headers" --write-out '%{http_code}' "$@" "$url$path") || fail "$method $path: no answer"
    [ "$status" = "$wanted" ] || fail "$method $path: $status, not $wanted"
    grep -qi '^x-request-id: ' "$work/headers" || fail "$method $path: no X-Request-ID"
    echo "ok $status $method $path"
}

# json BODY: the curl options of a JSON body.
json() { printf '%s' "$1" >"$work/request"; }
as_json=(--header 'Content-Type: application/json' --data-binary "@$work/request")

# field NAME: a value of the last answer, such as items.0.job_id.
field() {
    python3 -c '
import json, sys
value = json.load(open(sys.argv[1], encoding="utf-8"))
for part in sys.argv[2].split("."):
    value = value[int(part)] if isinstance(value, list) else value[part]
print(value if isinstance(value, str) else json.dumps(value))' "$work/body" "$1" || fail "no field $1 in the answer"
}

expect() {
    local found
    found=$(field "$1")
    [ "$found" = "$2" ] || fail "$1 is $found, not $2"
}

escaped() { python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' "$1"; }

# followed JOB: wait for its end, which must be a good one.
followed() {
    local job=$1
    step 200 GET "/v1/jobs/$job?wait=20"
    while [ "$(field status)" = queued ] || [ "$(field status)" = running ]; do
        step 200 GET "/v1/jobs/$job?wait=20"
    done
    expect status succeeded
}

clean() {
    local code=$?
    for set in ${sets[@]+"${sets[@]}"}; do
        for path in "/v1/ground_truths/$set/draft" "/v1/ground_truths/$set"; do
            curl --silent --max-time 60 --request DELETE --header "@$work/key" --output /dev/null "$url$path" || true
        done
    done
    if [ -n "$webhook" ]; then
        curl --silent --max-time 60 --request DELETE --header "@$work/key" --output /dev/null \
            "$url/v1/webhooks/$webhook" || true
    fi
    for run in ${runs[@]+"${runs[@]}"}; do
        curl --silent --max-time 60 --request DELETE --header "@$work/key" --output /dev/null "$url/v1/runs/$run" || true
    done
    rm -rf "$work"
    exit "$code"
}
trap clean EXIT

# A receipt of 981 bytes: SUBTOTAL 11.90, TAX 0.60, TOTAL 12.50.
receipt="iVBORw0KGgoAAAANSUhEUgAAAaQAAAD6AQAAAADGxA6rAAADnElEQVR42u2asW7bRhiAv6MJkYOasEYHuzAaBujYB9BS61x06NgnCNwkQ0ejc4\
uc28yFnqDw2EfIFjqTsuUBCpgCjLRLFMnQQAoU2YGUdIpt3ilLjeJukg789N/99xP47odExfZj6vExw1GOcpSjHPXfUIsQDyGj2cgbhYyUnC3C\
hWeiZsWiUqSAR8FZArM5lTJQ03Hxc9I/yQiKYMyDFKbvKRMD1Qny31IkACFKwduuEqYVpj4AXzVTE7tshPzEyXrqBIZeYqSSHQXQ+ZjzegPAnK\
f118qKOj/bIffzz/hanUdAuV1t9Oot+dKG6qeeCorgL4K0PwGEsopVPxXRpNO8woUCEMlWOezxO4PmcMtKAr1SmjNf1J+/BxC2sQ7y4Jd4VYfp\
AD6fKSP1ya7/XAIy94AfYrj/qTlWt7sjFFlTEscSuobqEs7ZHOUoRznKUY66U1Qen81G0alYhFMRD2/V5CEDznm1pP6ZADOYzdfGcsOQlSJRfd\
VQwQsIxs/60/f3/05vlamKEv54eZgsbTmu5992FUS3UeVxkVQP02se1W54Qu0A6mhFHTTb9RL48/a8+UDZ3DGuLd8y8/sAV1tAeEAUQ/5lM/Ft\
+/NqRd2b6BlpM0NxsY4lXkAwblL4vDXU43UsDoDQakNP9OrVrkGt967lGXnAYHlrKGVLGQJU8lfihpJaMGFw7PjlMlZ22bskW5p12sK81nK4/9\
2+zHdrs87gNG7J4dErCfjAXrS3R7c2aw/1uCXY0eE3h86xHeUoRznKUY66c9SpqORwoYzPVhGjtWMD6UFhpuYzUrly7Gf9ksiib5iPubhYOTag\
ysxqQ2ojG5PgyiIHIbHm2Cyk75upSVXxSHfsjB+tVjjSV5hhaJIvRyo1yotFZEU9SPVsFJZFEesrfBdXE7ZI/bIOy9721RuMi7PtqRRhsbNIgE\
fcGCyEYXbPTJVZBxWL9b6qK6u7w/Ai1laY4Fv4b7C7dOyaivzUN79fnS5SnSvn2I5ylKMc5ShH3UHHNnSwG20gRMSaYxs62PWQizmgOXZ7B7sR\
GYoJfd2x2zvYjQ8di+CGbJTtVPPHB82x2zvY+u9f62MbLafzgWNbQSA2HRswdrCBrPoivVYbRmu74uGHKzR0sAEuRaK2r8PhTedlvHQMNilzBx\
ugiiupOzaYO9hQSjYc29zBBijU6w3HtuhgA5nQ+9hWHezmHeu7PrajHOUoRznKUY7631H/AsnpMz9+yUrqAAAAAElFTkSuQmCC"
python3 -c 'import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.argv[1]))' "$receipt" >"$work/receipt.png"

echo "OCRlty at $url, run $id"

# The service
step 200 GET /v1/health
expect ok true
debug_mode=$(field debug_mode)
backend=$(field inference_backend)
# What was started a moment ago, or has much to do, is ready shortly.
for _ in $(seq 30); do
    if curl --silent --fail --max-time 10 --output /dev/null "$url/v1/health/ready"; then break; fi
    sleep 1
done
step 200 GET /v1/health/ready
expect ready true
step 200 GET /metrics
grep -q '^ocrlty_' "$work/body" || fail "no metric of ours"
step 200 GET /openapi.json
step 200 GET /docs
step 200 GET /v1/me
expect role admin
step 200 GET /v1/tasks
grep -q "\"$task\"" "$work/body" || fail "no task $task"

# One image
json "{\"task_id\": \"$task\", \"request_id\": \"$id-one\", \"image_base64\": \"$receipt\"}"
step 200 POST /v1/extract "${as_json[@]}"
expect request_id "$id-one"
expect error null
expect schema_valid true
if [ "$backend" = ocr ]; then expect parsed.total 12.50; fi
artifact=$(field artifact_rel)
step 200 POST /v1/extract "${as_json[@]}"
expect artifact_rel "$artifact"
step 200 GET "/v1/runs/item/$id-one"
expect artifact_rel "$artifact"
json "{\"task_id\": \"$task\", \"image_base64\": \"no image\"}"
step 422 POST /v1/extract "${as_json[@]}"
expect error.code validation_error

# Many images, waited for
run=$id-upload
runs+=("$run")
step 200 POST /v1/batch_extract_upload --form "task_id=$task" --form "run_id=$run" --form concurrency=2 \
    --form 'gt_json=[{"file": "a.png", "total": "12.50", "tax": "0.60"}]' \
    --form "files=@$work/receipt.png;filename=a.png" --form "files=@$work/receipt.png;filename=b.png"
expect item_count 2
expect ok_count 2
expect items.0.file a.png
input=$(field items.0.input_ref)
evaluation=$(field eval.eval_artifact_rel)
sets+=("$(field image_set)")
json "{\"task_id\": \"$task\", \"images_dir\": \"$folder\", \"limit\": 2, \"run_id\": \"$id-folder\"}"
runs+=("$id-folder")
step 200 POST /v1/batch_extract "${as_json[@]}"
expect error_count 0
json "{\"run_id\": \"$run\", \"new_run_id\": \"$id-rerun\", \"task_id\": \"items_light_v1\"}"
runs+=("$id-rerun")
step 200 POST /v1/batch_extract_rerun "${as_json[@]}"
expect source_run_id "$run"

# The same as jobs
json "{\"task_id\": \"$task\", \"request_id\": \"$id-job\", \"image_ref\": \"$input\"}"
step 202 POST /v1/extract_async "${as_json[@]}"
extract_job=$(field job_id)
expect poll_url "/v1/jobs/$extract_job"
runs+=("$id-upload-job" "$id-folder-job" "$id-rerun-job")
step 202 POST /v1/batch_extract_upload_async --form "task_id=$task" --form "run_id=$id-upload-job" \
    --form "files=@$work/receipt.png;filename=a.png"
upload_job=$(field job_id)
json "{\"task_id\": \"$task\", \"images_dir\": \"$folder\", \"limit\": 1, \"run_id\": \"$id-folder-job\"}"
step 202 POST /v1/batch_extract_async "${as_json[@]}"
folder_job=$(field job_id)
json "{\"run_id\": \"$run\", \"new_run_id\": \"$id-rerun-job\"}"
step 202 POST /v1/batch_extract_rerun_async "${as_json[@]}"
rerun_job=$(field job_id)
for job in "$extract_job" "$upload_job" "$folder_job" "$rerun_job"; do followed "$job"; done
job=$upload_job
step 200 GET "/v1/jobs/$job/result"
expect run_id "$id-upload-job"
step 404 GET "/v1/jobs/$job/error"
step 200 GET "/v1/jobs/$job/events"
grep -q '^event: end' "$work/body" || fail "the events did not end"
step 200 POST "/v1/jobs/$job/cancel"
expect ok true
step 200 GET "/v1/jobs?limit=1&status=succeeded"
expect items.0.status succeeded

# Webhooks: to an address that is none to call. A service without a pepper has none.
if curl --silent --fail --max-time 60 --header "@$work/key" --output /dev/null "$url/v1/webhooks/secret"; then
    json "{\"url\": \"http://127.0.0.1/$id\", \"events\": [\"job.failed\"]}"
    step 201 POST /v1/webhooks "${as_json[@]}"
    webhook=$(field webhook_id)
    step 200 GET /v1/webhooks/secret
    step 200 GET "/v1/webhooks?limit=200"
    grep -q "\"$webhook\"" "$work/body" || fail "no webhook $webhook in the list"
    step 200 GET "/v1/webhooks/$webhook"
    expect deliveries "[]"
    step 200 POST "/v1/webhooks/$webhook/test"
    expect delivered false
    step 204 DELETE "/v1/webhooks/$webhook"
    step 404 GET "/v1/webhooks/$webhook"
    webhook=
else
    step 403 GET /v1/webhooks/secret
    step 403 POST /v1/webhooks --header 'Content-Type: application/json' --data '{"url": "http://127.0.0.1/"}'
    step 200 GET /v1/webhooks
fi

# What came of it
step 200 GET "/v1/runs?limit=1"
expect limit 1
step 200 GET "/v1/runs?limit=1&cursor=$(escaped "$(field next_cursor)")"
step 200 GET "/v1/runs/$run"
expect eval.eval_artifact_rel "$evaluation"
report=$(field eval.report_rel)
step 200 GET "/v1/runs/$run/items?limit=1"
step 200 GET "/v1/runs/$run/items?limit=1&cursor=$(field next_cursor)"
expect items.0.file b.png
expect next_cursor null
step 200 GET "/v1/runs/$run/artifact?direct=false"
expect run_id "$run"
step 200 GET "/v1/runs/eval?artifact_rel=$(escaped "$evaluation")"
expect run_id "$run"
step 200 GET "/v1/runs/compare?a=$run&b=$run"
expect verdict "no evidence of a difference"
step 200 GET "/v1/reports/$report"

# Ground truth
step 200 GET "/v1/runs/$id-upload-job"
set=$(field image_set)
sets+=("$set")
json "{\"image_set\": \"$set\", \"content\": [{\"file\": \"a.png\", \"total\": \"12.50\"}]}"
step 201 POST /v1/ground_truths "${as_json[@]}"
expect images_with 1
step 200 GET /v1/ground_truths
step 200 GET "/v1/ground_truths/$set"
expect version 1
json '{"content": [{"file": "a.png", "total": "12.50", "tax": "0.60"}]}'
step 412 PUT "/v1/ground_truths/$set" "${as_json[@]}" --header 'If-Match: "9"'
step 200 PUT "/v1/ground_truths/$set" "${as_json[@]}" --header 'If-Match: "1"'
expect version 2
json "{\"run_id\": \"$id-upload-job\"}"
step 201 POST "/v1/ground_truths/$set/draft" "${as_json[@]}"
step 200 GET "/v1/ground_truths/$set/draft"
expect draft true
json '{"content": [{"file": "a.png", "total": "12.50", "tax": "0.60"}]}'
step 200 PUT "/v1/ground_truths/$set/draft" "${as_json[@]}"
step 204 DELETE "/v1/ground_truths/$set/draft"
json "{\"run_id\": \"$id-upload-job\"}"
step 201 POST "/v1/ground_truths/$set/draft" "${as_json[@]}"
step 200 POST "/v1/ground_truths/$set/draft/confirm"
expect version 3

# Behind the scenes
if [ "$debug_mode" = true ]; then behind=200; else behind=404; fi
json "{\"run_id\": \"$run\"}"
step "$behind" POST /v1/debug/eval/batch_vs_gt "${as_json[@]}"
step "$behind" GET "/v1/debug/artifacts?limit=1"
step "$behind" GET "/v1/debug/artifacts/$id-one"
step "$behind" GET "/v1/debug/artifacts/$id-one/raw"
step "$behind" GET /v1/debug/artifacts/backup.tar.gz

# The way out
for set in "${sets[@]}"; do step 204 DELETE "/v1/ground_truths/$set"; done
sets=()
for run in "${runs[@]}"; do step 200 DELETE "/v1/runs/$run"; done
runs=()
step 404 GET "/v1/runs/$id-upload"
expect error.code not_found
echo "All of it works."
