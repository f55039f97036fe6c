# One image for every process: API, Dagster's webserver, code server, daemon, workers. What runs is the command.
FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
# The dependencies first: they change less often than the code, and Docker keeps their layer.
COPY pyproject.toml requirements.lock ./
RUN uv venv /opt/ocrlty \
 && uv pip compile pyproject.toml --extra celery --extra k8s --constraint requirements.lock --quiet -o /tmp/runtime.txt \
 && uv pip install --python /opt/ocrlty/bin/python --no-cache --requirement /tmp/runtime.txt
COPY README.md dagster.yaml workspace.yaml ./
COPY migrations migrations
COPY ocrlty_pipeline ocrlty_pipeline
COPY ocrlty_api ocrlty_api
RUN uv pip install --python /opt/ocrlty/bin/python --no-cache --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home ocrlty \
 && install -d -o ocrlty -g ocrlty /opt/dagster/home /var/lib/ocrlty /data
COPY --from=build /opt/ocrlty /opt/ocrlty
COPY --chown=ocrlty dagster.yaml /opt/dagster/home/dagster.yaml
COPY deploy/compose/workspace.yaml /opt/dagster/workspace.yaml
COPY deploy/celery /opt/celery
ENV PATH=/opt/ocrlty/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/dagster/home \
    OCRLTY_HOME=/var/lib/ocrlty \
    DATA_ROOT=/data
USER ocrlty
WORKDIR /data
EXPOSE 8000
CMD ["uvicorn", "ocrlty_api.main:app", "--host", "0.0.0.0", "--port", "8000"]
