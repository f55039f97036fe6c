"""The pepper: the one secret of the service from which others are derived, or under which they are hashed."""

from __future__ import annotations

from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.settings import Settings

MIN_PEPPER_CHARACTERS = 16


def pepper_of(settings: Settings, needed_because: str) -> str:
    """
    Args:
        settings: of the process.
        needed_because: what it is for, in words for the operator.

    Raises:
        ConfigError: API_KEY_PEPPER is missing or too short.
    """
    pepper = settings.api_key_pepper.get_secret_value() if settings.api_key_pepper else ""
    if len(pepper) < MIN_PEPPER_CHARACTERS:
        problem = f"has fewer than {MIN_PEPPER_CHARACTERS} characters" if pepper else "is not set"
        raise ConfigError(
            f"API_KEY_PEPPER {problem}: {needed_because}. Make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`, keep it where the service's other "
            "secrets are, and never change it: all keys would be void."
        )
    return pepper
