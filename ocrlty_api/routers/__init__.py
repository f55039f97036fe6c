"""The routes, one module a subject; handlers translate between HTTP and what does the work."""
