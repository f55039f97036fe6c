"""Names of the run tags that say what a Dagster run works on; the API and the CLI read them back."""

RUN_ID = "ocrlty/run_id"
IMAGE_SET = "ocrlty/image_set"
TASK_ID = "ocrlty/task_id"
# The run that a rerun repeats which nobody named.
SOURCE_RUN_ID = "ocrlty/source_run_id"
PROGRESS = "ocrlty/progress"
REQUEST_ID = "ocrlty/request_id"
KEY_ID = "ocrlty/key_id"
BACKEND = "ocrlty/backend"
MODEL = "ocrlty/model"
# The first characters of the prompt's SHA-256.
PROMPT = "ocrlty/prompt"
WORKER = "ocrlty/worker"
# What a client asked for, as the API knows it again: under which id, and a digest of the content.
SUBMISSION = "ocrlty/submission"
CONTENT = "ocrlty/content"
# What the API submitted as a job, of which kind; by whose key's role; and that its client asked it to end: the id of
# the run that is to end, since a run that is executed again passes its tags on.
JOB = "ocrlty/job"
ROLE = "ocrlty/role"
# On a job whose request names a `webhook_url`: by its one value such jobs are found.
WEBHOOK = "ocrlty/webhook"
OF_JOB = "of_job"
# The run whose worker was told to stop; its retry has the tag as well.
HANDED_BACK = "ocrlty/handed_back"
CANCEL = "ocrlty/cancel_requested"
SCHEDULE = "ocrlty/schedule"
SCHEDULED = "ocrlty/scheduled"
INBOX = "ocrlty/inbox"
