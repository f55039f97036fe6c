"""`ocrlty`: the command line. One file a group of commands; `app` assembles them, `output` is all that prints."""
