"""How the API has Dagster runs executed, and reads them: the only modules of it that import Dagster."""
