"""Tasks: what to extract. One folder a task; adding a folder adds a task.

Each folder holds `prompt.txt`, `schema.json` (JSON Schema draft 2020-12) and `task.toml` (`description`). Built-in
tasks are the folders beside this file; `OCRLTY_TASKS_DIR` names a second folder of them. How an answer is validated
against a schema is `extraction`'s business, how two answers compare is `evaluation`'s.
"""
