"""The HTTP face of OCRlty. It launches Dagster runs and reads their artifacts; it never executes one."""
