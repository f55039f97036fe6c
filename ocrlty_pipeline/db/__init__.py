"""PostgreSQL: tables, connections, migrations, locks and the embedded server.

What the rows mean is their users' business: `artifacts.index` and `batches.journal`.
"""
