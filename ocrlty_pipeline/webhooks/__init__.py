"""Calls that tell clients' own servers how their jobs ended: who wants them, what is due, and sending it signed.

Belongs here: webhooks, deliveries, signatures. Does not: when a job has ended (`orchestration.webhooks`).
"""
