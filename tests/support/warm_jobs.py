"""A code location whose jobs do what warm workers must survive."""

import os
import sys
import time
from pathlib import Path

import dagster as dg


@dg.op
def pid():
    return os.getpid()


@dg.op
def raising():
    raise RuntimeError("this job raises")


@dg.op
def exiting():
    sys.exit(3)


@dg.op(config_schema={"began": str, "seconds": float})
def sleeping(context):
    Path(context.op_config["began"]).touch()
    deadline = time.monotonic() + context.op_config["seconds"]
    while time.monotonic() < deadline:
        time.sleep(0.05)


@dg.op(config_schema={"began": str})
def deaf(context):
    """Swallows every interrupt."""
    Path(context.op_config["began"]).touch()
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001, S112 -- that is the point
            continue


@dg.op
def printing():
    print("printed by the run")  # noqa: T201


def dying_at_start(_connection, *_arguments):
    """In place of a worker's work."""
    sys.exit(1)


def _job(op):
    @dg.job(name=op.name, executor_def=dg.in_process_executor, resource_defs={"io_manager": dg.mem_io_manager})
    def job():
        op()

    return job


@dg.definitions
def defs():
    return dg.Definitions(jobs=[_job(op) for op in (pid, raising, exiting, sleeping, deaf, printing)])
