# The whole API once, against a running service: every operation of its OpenAPI document, one line a step.
#
#     $env:OCRLTY_URL = 'http://127.0.0.1:8000'; $env:OCRLTY_API_KEY = '...'; examples/smoke.ps1
#
# The twin of smoke.sh, step by step, for Windows PowerShell 5.1 and PowerShell 7. Needs a key of role admin (none where
# the service asks for none). Deletes the runs, ground truths and webhooks that it makes; single extracts, inputs and the
# jobs' history stay, since nothing deletes those. Ends with 1 at the first answer that is not as it should be.
# SMOKE_IMAGES_DIR is a folder of images of the service, under its DATA_ROOT; `make demo` makes the one below.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
Add-Type -AssemblyName System.Net.Http

$url = if ($env:OCRLTY_URL) { $env:OCRLTY_URL } else { 'http://127.0.0.1:8000' }
$folder = if ($env:SMOKE_IMAGES_DIR) { $env:SMOKE_IMAGES_DIR } else { '.ocrlty/demo/images' }
$task = 'receipt_fields_v1'
$id = 'smoke-{0}-{1}' -f [DateTimeOffset]::UtcNow.ToUnixTimeSeconds(), $PID
$runs = New-Object System.Collections.Generic.List[string]
$sets = New-Object System.Collections.Generic.List[string]
$webhook = ''
$http = New-Object System.Net.Http.HttpClient
$http.Timeout = [TimeSpan]::FromSeconds(300)
if ($env:OCRLTY_API_KEY) { $http.DefaultRequestHeaders.Add('Authorization', "Bearer $env:OCRLTY_API_KEY") }
$script:body = ''

function Fail([string] $why) {
    $shown = $script:body.Substring(0, [Math]::Min(2000, $script:body.Length))
    throw "FAILED: $why`n$shown"
}

# Step STATUS METHOD PATH [CONTENT] [IF-MATCH]: one request; its answer is in $script:body.
function Step([int] $wanted, [string] $method, [string] $path, $content = $null, [string] $ifMatch = '') {
    $request = New-Object System.Net.Http.HttpRequestMessage (New-Object System.Net.Http.HttpMethod $method), "$url$path"
    if ($null -ne $content) { $request.Content = $content }
    if ($ifMatch) { $request.Headers.Add('If-Match', $ifMatch) }
    $script:body = ''
    try { $answer = $http.SendAsync($request).GetAwaiter().GetResult() }
    catch { Fail "$method ${path}: no answer" }
    $script:body = $answer.Content.ReadAsStringAsync().GetAwaiter().GetResult()
    $status = [int] $answer.StatusCode
    if ($status -ne $wanted) { Fail "$method ${path}: $status, not $wanted" }
    if (-not $answer.Headers.Contains('X-Request-ID')) { Fail "$method ${path}: no X-Request-ID" }
    Write-Output "ok $status $method $path"
}

function Json($value) {
    $text = ConvertTo-Json -InputObject $value -Depth 10 -Compress
    # The comma keeps PowerShell from taking the content apart.
    , (New-Object System.Net.Http.StringContent $text, ([System.Text.Encoding]::UTF8), 'application/json')
}

# Form FIELDS FILES: a multipart body; each file is the receipt under a name.
function Form($fields, [string[]] $files) {
    $form = New-Object System.Net.Http.MultipartFormDataContent
    foreach ($name in $fields.Keys) {
        $form.Add((New-Object System.Net.Http.StringContent ([string] $fields[$name])), "`"$name`"")
    }
    foreach ($name in $files) {
        $file = New-Object System.Net.Http.ByteArrayContent (, [Convert]::FromBase64String($receipt))
        # Not by the form's own method, which names the file a second time, in a way that forms do not have.
        $place = New-Object System.Net.Http.Headers.ContentDispositionHeaderValue 'form-data'
        $place.Name = '"files"'
        $place.FileName = "`"$name`""
        $file.Headers.ContentDisposition = $place
        $form.Add($file)
    }
    , $form
}

# Field NAME: a value of the last answer, such as items.0.job_id, as JSON has it.
function Field([string] $name) {
    $value = ConvertFrom-Json $script:body
    foreach ($part in $name.Split('.')) {
        if ($part -match '^\d+$') { $value = @($value)[[int] $part] } else { $value = $value.$part }
    }
    if ($null -eq $value) { return 'null' }
    if ($value -is [bool]) { return ([string] $value).ToLowerInvariant() }
    [string] $value
}

function Expect([string] $name, [string] $wanted) {
    $found = Field $name
    if ($found -cne $wanted) { Fail "$name is $found, not $wanted" }
}

function Contains([string] $text) {
    if (-not $script:body.Contains($text)) { Fail "no $text in the answer" }
}

function Escaped([string] $text) { [Uri]::EscapeDataString($text) }

# Followed JOB: wait for its end, which must be a good one.
function Followed([string] $job) {
    Step 200 GET "/v1/jobs/${job}?wait=20"
    while (@('queued', 'running') -contains (Field 'status')) {
        Step 200 GET "/v1/jobs/${job}?wait=20"
    }
    Expect 'status' 'succeeded'
}

function Remove-Quietly([string] $path) {
    try { [void] $http.DeleteAsync("$url$path").GetAwaiter().GetResult() } catch { Write-Verbose "$_" }
}

# A receipt of 981 bytes: SUBTOTAL 11.90, TAX 0.60, TOTAL 12.50.
$receipt = (
    'iVBORw0KGgoAAAANSUhEUgAAAaQAAAD6AQAAAADGxA6rAAADnElEQVR42u2asW7bRhiAv6MJkYOasEYHuzAaBujYB9BS61x06NgnCNwkQ0ejc4' +
    'uc28yFnqDw2EfIFjqTsuUBCpgCjLRLFMnQQAoU2YGUdIpt3ilLjeJukg789N/99xP47odExfZj6vExw1GOcpSjHPXfUIsQDyGj2cgbhYyUnC3C' +
    'hWeiZsWiUqSAR8FZArM5lTJQ03Hxc9I/yQiKYMyDFKbvKRMD1Qny31IkACFKwduuEqYVpj4AXzVTE7tshPzEyXrqBIZeYqSSHQXQ+ZjzegPAnK' +
    'f118qKOj/bIffzz/hanUdAuV1t9Oot+dKG6qeeCorgL4K0PwGEsopVPxXRpNO8woUCEMlWOezxO4PmcMtKAr1SmjNf1J+/BxC2sQ7y4Jd4VYfp' +
    'AD6fKSP1ya7/XAIy94AfYrj/qTlWt7sjFFlTEscSuobqEs7ZHOUoRznKUY66U1Qen81G0alYhFMRD2/V5CEDznm1pP6ZADOYzdfGcsOQlSJRfd' +
    'VQwQsIxs/60/f3/05vlamKEv54eZgsbTmu5992FUS3UeVxkVQP02se1W54Qu0A6mhFHTTb9RL48/a8+UDZ3DGuLd8y8/sAV1tAeEAUQ/5lM/Ft' +
    '+/NqRd2b6BlpM0NxsY4lXkAwblL4vDXU43UsDoDQakNP9OrVrkGt967lGXnAYHlrKGVLGQJU8lfihpJaMGFw7PjlMlZ22bskW5p12sK81nK4/9' +
    '2+zHdrs87gNG7J4dErCfjAXrS3R7c2aw/1uCXY0eE3h86xHeUoRznKUY66c9SpqORwoYzPVhGjtWMD6UFhpuYzUrly7Gf9ksiib5iPubhYOTag' +
    'ysxqQ2ojG5PgyiIHIbHm2Cyk75upSVXxSHfsjB+tVjjSV5hhaJIvRyo1yotFZEU9SPVsFJZFEesrfBdXE7ZI/bIOy9721RuMi7PtqRRhsbNIgE' +
    'fcGCyEYXbPTJVZBxWL9b6qK6u7w/Ai1laY4Fv4b7C7dOyaivzUN79fnS5SnSvn2I5ylKMc5ShH3UHHNnSwG20gRMSaYxs62PWQizmgOXZ7B7sR' +
    'GYoJfd2x2zvYjQ8di+CGbJTtVPPHB82x2zvY+u9f62MbLafzgWNbQSA2HRswdrCBrPoivVYbRmu74uGHKzR0sAEuRaK2r8PhTedlvHQMNilzBx' +
    'ugiiupOzaYO9hQSjYc29zBBijU6w3HtuhgA5nQ+9hWHezmHeu7PrajHOUoRznKUY7631H/AsnpMz9+yUrqAAAAAElFTkSuQmCC'
)

function Walk {
    Write-Output "OCRlty at $url, run $id"

    # The service
    Step 200 GET '/v1/health'
    Expect 'ok' 'true'
    $debugMode = Field 'debug_mode'
    $backend = Field 'inference_backend'
    # What was started a moment ago, or has much to do, is ready shortly.
    for ($tries = 0; $tries -lt 30; $tries++) {
        if ($http.GetAsync("$url/v1/health/ready").GetAwaiter().GetResult().IsSuccessStatusCode) { break }
        Start-Sleep -Seconds 1
    }
    Step 200 GET '/v1/health/ready'
    Expect 'ready' 'true'
    Step 200 GET '/metrics'
    Contains "`nocrlty_"
    Step 200 GET '/openapi.json'
    Step 200 GET '/docs'
    Step 200 GET '/v1/me'
    Expect 'role' 'admin'
    Step 200 GET '/v1/tasks'
    Contains "`"$task`""

    # One image
    $one = @{ task_id = $task; request_id = "$id-one"; image_base64 = $receipt }
    Step 200 POST '/v1/extract' (Json $one)
    Expect 'request_id' "$id-one"
    Expect 'error' 'null'
    Expect 'schema_valid' 'true'
    if ($backend -eq 'ocr') { Expect 'parsed.total' '12.50' }
    $artifact = Field 'artifact_rel'
    Step 200 POST '/v1/extract' (Json $one)
    Expect 'artifact_rel' $artifact
    Step 200 GET "/v1/runs/item/$id-one"
    Expect 'artifact_rel' $artifact
    Step 422 POST '/v1/extract' (Json @{ task_id = $task; image_base64 = 'no image' })
    Expect 'error.code' 'validation_error'

    # Many images, waited for
    $run = "$id-upload"
    $runs.Add($run)
    $truth = '[{"file": "a.png", "total": "12.50", "tax": "0.60"}]'
    $fields = @{ task_id = $task; run_id = $run; concurrency = 2; gt_json = $truth }
    Step 200 POST '/v1/batch_extract_upload' (Form $fields @('a.png', 'b.png'))
    Expect 'item_count' '2'
    Expect 'ok_count' '2'
    Expect 'items.0.file' 'a.png'
    $kept = Field 'items.0.input_ref'
    $evaluation = Field 'eval.eval_artifact_rel'
    $sets.Add((Field 'image_set'))
    $runs.Add("$id-folder")
    Step 200 POST '/v1/batch_extract' (Json @{ task_id = $task; images_dir = $folder; limit = 2; run_id = "$id-folder" })
    Expect 'error_count' '0'
    $runs.Add("$id-rerun")
    Step 200 POST '/v1/batch_extract_rerun' (Json @{ run_id = $run; new_run_id = "$id-rerun"; task_id = 'items_light_v1' })
    Expect 'source_run_id' $run

    # The same as jobs
    Step 202 POST '/v1/extract_async' (Json @{ task_id = $task; request_id = "$id-job"; image_ref = $kept })
    $extractJob = Field 'job_id'
    Expect 'poll_url' "/v1/jobs/$extractJob"
    foreach ($name in 'upload', 'folder', 'rerun') { $runs.Add("$id-$name-job") }
    Step 202 POST '/v1/batch_extract_upload_async' (Form @{ task_id = $task; run_id = "$id-upload-job" } @('a.png'))
    $uploadJob = Field 'job_id'
    Step 202 POST '/v1/batch_extract_async' (Json @{ task_id = $task; images_dir = $folder; limit = 1; run_id = "$id-folder-job" })
    $folderJob = Field 'job_id'
    Step 202 POST '/v1/batch_extract_rerun_async' (Json @{ run_id = $run; new_run_id = "$id-rerun-job" })
    $rerunJob = Field 'job_id'
    foreach ($job in $extractJob, $uploadJob, $folderJob, $rerunJob) { Followed $job }
    $job = $uploadJob
    Step 200 GET "/v1/jobs/$job/result"
    Expect 'run_id' "$id-upload-job"
    Step 404 GET "/v1/jobs/$job/error"
    Step 200 GET "/v1/jobs/$job/events"
    Contains "event: end"
    Step 200 POST "/v1/jobs/$job/cancel"
    Expect 'ok' 'true'
    Step 200 GET '/v1/jobs?limit=1&status=succeeded'
    Expect 'items.0.status' 'succeeded'

    # Webhooks: to an address that is none to call. A service without a pepper has none.
    if ($http.GetAsync("$url/v1/webhooks/secret").GetAwaiter().GetResult().IsSuccessStatusCode) {
        Step 201 POST '/v1/webhooks' (Json @{ url = "http://127.0.0.1/$id"; events = @('job.failed') })
        $webhook = Field 'webhook_id'
        Step 200 GET '/v1/webhooks/secret'
        Step 200 GET '/v1/webhooks?limit=200'
        Contains $webhook
        Step 200 GET "/v1/webhooks/$webhook"
        Contains '"deliveries":[]'
        Step 200 POST "/v1/webhooks/$webhook/test"
        Expect 'delivered' 'false'
        Step 204 DELETE "/v1/webhooks/$webhook"
        Step 404 GET "/v1/webhooks/$webhook"
        $webhook = ''
    }
    else {
        Step 403 GET '/v1/webhooks/secret'
        Step 403 POST '/v1/webhooks' (Json @{ url = 'http://127.0.0.1/' })
        Step 200 GET '/v1/webhooks'
    }

    # What came of it
    Step 200 GET '/v1/runs?limit=1'
    Expect 'limit' '1'
    Step 200 GET "/v1/runs?limit=1&cursor=$(Escaped (Field 'next_cursor'))"
    Step 200 GET "/v1/runs/$run"
    Expect 'eval.eval_artifact_rel' $evaluation
    $report = Field 'eval.report_rel'
    Step 200 GET "/v1/runs/$run/items?limit=1"
    Step 200 GET "/v1/runs/$run/items?limit=1&cursor=$(Field 'next_cursor')"
    Expect 'items.0.file' 'b.png'
    Expect 'next_cursor' 'null'
    Step 200 GET "/v1/runs/$run/artifact?direct=false"
    Expect 'run_id' $run
    Step 200 GET "/v1/runs/eval?artifact_rel=$(Escaped $evaluation)"
    Expect 'run_id' $run
    Step 200 GET "/v1/runs/compare?a=$run&b=$run"
    Expect 'verdict' 'no evidence of a difference'
    Step 200 GET "/v1/reports/$report"

    # Ground truth
    Step 200 GET "/v1/runs/$id-upload-job"
    $set = Field 'image_set'
    $sets.Add($set)
    $less = @(@{ file = 'a.png'; total = '12.50' })
    $more = @(@{ file = 'a.png'; total = '12.50'; tax = '0.60' })
    Step 201 POST '/v1/ground_truths' (Json @{ image_set = $set; content = $less })
    Expect 'images_with' '1'
    Step 200 GET '/v1/ground_truths'
    Step 200 GET "/v1/ground_truths/$set"
    Expect 'version' '1'
    Step 412 PUT "/v1/ground_truths/$set" (Json @{ content = $more }) '"9"'
    Step 200 PUT "/v1/ground_truths/$set" (Json @{ content = $more }) '"1"'
    Expect 'version' '2'
    Step 201 POST "/v1/ground_truths/$set/draft" (Json @{ run_id = "$id-upload-job" })
    Step 200 GET "/v1/ground_truths/$set/draft"
    Expect 'draft' 'true'
    Step 200 PUT "/v1/ground_truths/$set/draft" (Json @{ content = $more })
    Step 204 DELETE "/v1/ground_truths/$set/draft"
    Step 201 POST "/v1/ground_truths/$set/draft" (Json @{ run_id = "$id-upload-job" })
    Step 200 POST "/v1/ground_truths/$set/draft/confirm"
    Expect 'version' '3'

    # Behind the scenes
    $behind = if ($debugMode -eq 'true') { 200 } else { 404 }
    Step $behind POST '/v1/debug/eval/batch_vs_gt' (Json @{ run_id = $run })
    Step $behind GET '/v1/debug/artifacts?limit=1'
    Step $behind GET "/v1/debug/artifacts/$id-one"
    Step $behind GET "/v1/debug/artifacts/$id-one/raw"
    Step $behind GET '/v1/debug/artifacts/backup.tar.gz'

    # The way out
    foreach ($set in $sets.ToArray()) { Step 204 DELETE "/v1/ground_truths/$set" }
    $sets.Clear()
    foreach ($run in $runs.ToArray()) { Step 200 DELETE "/v1/runs/$run" }
    $runs.Clear()
    Step 404 GET "/v1/runs/$id-upload"
    Expect 'error.code' 'not_found'
    Write-Output 'All of it works.'
}

$code = 1
try {
    Walk
    $code = 0
}
catch {
    [Console]::Error.WriteLine("$_")
}
finally {
    foreach ($set in $sets) {
        Remove-Quietly "/v1/ground_truths/$set/draft"
        Remove-Quietly "/v1/ground_truths/$set"
    }
    foreach ($run in $runs) { Remove-Quietly "/v1/runs/$run" }
    if ($webhook) { Remove-Quietly "/v1/webhooks/$webhook" }
}
exit $code
