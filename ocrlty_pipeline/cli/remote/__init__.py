"""Commands that talk to a running service over HTTP: they import no Dagster and need no database."""
