"""What `celery -A dagster_celery.app worker` reads; its folder must be on PYTHONPATH.

The launcher's side of the same settings is in `dagster.yaml` beside this file.
"""

import os

broker_url = os.environ["CELERY_BROKER_URL"]
result_backend = os.environ["CELERY_RESULT_BACKEND"]
result_expires = 604800
# A busy worker must not hoard runs that an idle one could execute.
worker_prefetch_multiplier = 1
