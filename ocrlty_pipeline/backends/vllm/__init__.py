"""The `vllm` backend: chat completions of an OpenAI-compatible server, held to the wire form of a task's schema."""
