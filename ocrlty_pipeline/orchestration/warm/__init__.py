"""Warm runs: worker processes that stay alive between Dagster runs, so that a run starts in a tenth of a second.

`processes` is one worker process, `pool` many of them executing runs by id, `launcher` the pool as Dagster's run
launcher, `lane` the online lane. What happens inside a process is `run_worker` and `lane_worker`.

Two Dagster runs never share a process at the same time: each run configures logging for the whole process, and two at
once deadlock.
"""
