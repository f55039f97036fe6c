"""Every command that the guides show, started dry: it exists, and takes the options and arguments it is shown with."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from dagster._cli import create_dagster_cli

from ocrlty_api import auth_cli
from ocrlty_api.metrics import Metrics
from ocrlty_pipeline.cli.app import COMMANDS, build_app
from ocrlty_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
OPERATING, VLLM = ROOT / "docs/operating.md", ROOT / "docs/vllm.md"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
AUTH = ("python", "-m", "ocrlty_api.auth_cli")


def shown_in(guide):
    """The command lines of a guide's consoles, and those within its sentences."""
    text = guide.read_text()
    consoles = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = re.findall(r"^\$ (.*)$", consoles, re.MULTILINE) + re.findall(r"^    (python -m .*)$", text, re.MULTILINE)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return lines + re.findall(r"`((?:ocrlty|dagster|docker compose|python -m ocrlty_api\.auth_cli) [^`]+)`", prose)


def commands():
    every = {(guide.name, line) for guide in GUIDES for line in shown_in(guide)}
    return sorted(pair for pair in every if re.match(r"(ocrlty|dagster|docker compose|python -m ocrlty)\b", pair[1]))


def words_of(line):
    """What the command is given, without comment, redirection and pipe."""
    words = shlex.split(re.sub(r" \.\.\.|[][]", "", line), comments=True)
    return next((words[:at] for at, word in enumerate(words) if word in {">", "<", "|"}), words)


def program_of(words):
    """The command that is started, and its arguments."""
    if words[:2] == ["ocrlty", "dagster"]:
        words = words[1:]
    if words[0] == "dagster":
        return create_dagster_cli(), words[1:]
    if tuple(words[:3]) == AUTH:
        return typer.main.get_command(auth_cli.app), words[3:]
    assert words[0] == "ocrlty", words
    assert words[1] in COMMANDS, f"there is no command ocrlty {words[1]}"
    return typer.main.get_command(build_app(words[1])), words[1:]


def parse(command, arguments):
    """Parse as the command does, and go no further."""
    context = command.context_class(command, info_name=command.name)
    _, rest, _ = command.make_parser(context).parse_args(list(arguments))
    if not hasattr(command, "get_command"):
        assert not rest or command.context_settings.get("allow_extra_args"), rest
    elif rest:
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"{command.name} has no command {rest[0]}"
        parse(inner, rest[1:])


@pytest.mark.parametrize(("guide", "line"), commands(), ids=lambda value: value)
def test_every_command_of_a_guide_exists_with_its_options(guide, line):
    words = words_of(line)
    if words[:2] == ["docker", "compose"]:
        compose(words[2:])
    elif len(words) > 1:
        parse(*program_of(words))


def compose(words):
    """Which services a line of compose names, and what it starts in them."""
    command, *rest = words[2:] if words[0] == "--profile" else words
    assert command in {"up", "ps", "logs", "stop", "exec", "run"}
    takes_value = {"--since", "-v"}
    plain = [w for at, w in enumerate(rest) if not w.startswith("-") and (at == 0 or rest[at - 1] not in takes_value)]
    named = plain[:1] if command in {"exec", "run"} else plain
    assert set(named) <= SERVICES.keys(), line_of(named)


def line_of(names):
    return f"docker-compose.yml has not all of {names}"


def test_commands_are_found():
    lines = [line for _, line in commands()]
    assert len(lines) > 40
    assert "ocrlty backup /backup/artifacts.tar.gz --inputs" in lines
    with pytest.raises(Exception, match="no-such-option"):
        parse(*program_of(["ocrlty", "backup", "file", "--no-such-option"]))


def test_the_operators_table_names_every_metric_and_no_other():
    table = OPERATING.read_text().partition("## Metrics")[2].partition("## Failures")[0]
    named = set(re.findall(r"^\| `(ocrlty_\w+)`", table, re.MULTILINE))
    metrics = Metrics()
    app = (ROOT / "ocrlty_api/app.py").read_text()
    gauges = set(re.findall(r'metrics\.gauge\(\s*"(\w+)"', app))
    own = {f"{found.name}_total" if found.type == "counter" else found.name for found in metrics.registry.collect()}
    assert named == own | gauges


@pytest.mark.parametrize("guide", [OPERATING, VLLM], ids=lambda path: path.name)
def test_the_guides_name_settings_that_are_there(guide):
    elsewhere = {"POSTGRES_PASSWORD", "DAGSTER_HOME", "AWS_"}
    prefixes = r"VLLM|OCRLTY|S3|AWS|JOBS|WARM|ONLINE|API|LOG|DATA|MAX|CODE|INFERENCE|DATABASE|POSTGRES|DAGSTER"
    named = set(re.findall(rf"`?\b((?:{prefixes})_[A-Z0-9_]*)", guide.read_text()))
    assert {name for name in named if name.lower() not in Settings.model_fields} <= elsewhere


def test_the_client_settings_shown_for_vllm_are_valid_and_agree_with_the_server_shown():
    text = VLLM.read_text()
    block = re.search(r"## The client\n\n```\n(.*?)```", text, re.DOTALL)[1]
    given = dict(line.split("=", 1) for line in block.splitlines())
    settings = Settings(_env_file=None, **{name.lower(): value for name, value in given.items() if value})
    assert settings.inference_backend == "vllm"
    assert settings.vllm_base_url.endswith("/v1")
    assert f"--max-model-len {settings.vllm_max_model_len}" in text
    assert f"vllm serve {settings.vllm_model} " in text
    assert settings.jobs_max_concurrency <= settings.vllm_http_max_connections


def test_pictures_and_links_of_the_guides_are_there_and_the_pictures_are_small():
    sizes = {}
    for guide in GUIDES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", guide.read_text()):
            if not target.startswith(("http://", "https://")):
                assert (guide.parent / target).exists(), f"{guide.name}: {target}"
            if target.endswith(".png"):
                sizes[target] = (guide.parent / target).stat().st_size
    assert max(sizes.values()) < 150_000
    assert sum(sizes.values()) < 1_000_000
    assert {Path(name).name for name in sizes} == {path.name for path in (ROOT / "docs/images").glob("*.png")}
