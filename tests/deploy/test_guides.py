"""Every shell line that the guides show, started dry: its commands exist, and take the options and arguments shown."""

import os
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest
import typer
import yaml
from celery.bin.celery import celery
from dagster._cli import create_dagster_cli

from ocrlty_api import auth_cli
from ocrlty_api.metrics import Metrics
from ocrlty_pipeline.cli.app import COMMANDS, build_app
from ocrlty_pipeline.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
GUIDES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
WITH_COMMENTS = [ROOT / "docker-compose.yml", ROOT / "dagster.yaml", *sorted((ROOT / "deploy").glob("*/*.yaml"))]
OPERATING, STORAGE, VLLM = (ROOT / "docs" / name for name in ("operating.md", "storage.md", "vllm.md"))
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# Of these only what they are given in $(...) is looked at: they are others', and most are on any machine.
OTHERS = {"base64", "cd", "curl", "eval", "git", "hostname", "install", "jq", "mkdir", "source", "ssh", "vllm"}
IN_SENTENCES = r"ocrlty|dagster|docker compose|python|celery|helm|kubectl|htpasswd|make|pip|eval|env|KEY=\$\(python"
# Options of docker compose and whether they take a value, as `docker compose COMMAND --help` lists them.
COMPOSE = {
    "": {"--profile": True, "-f": True, "--file": True, "--env-file": True, "-p": True},
    "up": {"-d": False, "--detach": False, "--build": False, "--no-deps": False, "--wait": False, "--scale": True},
    "ps": {"-a": False, "--all": False, "-q": False, "--format": True},
    "logs": {"-f": False, "--follow": False, "--since": True, "-n": True, "--tail": True, "-t": False},
    "start": {},
    "stop": {"-t": True, "--timeout": True},
    "exec": {"-T": False, "-u": True, "--user": True, "-e": True, "--env": True, "-w": True, "-d": False},
    "run": {"--rm": False, "--no-deps": False, "-v": True, "--volume": True, "-e": True, "--env": True, "-T": False},
}


def shown_in(guide):
    """The shell lines of a guide: in its consoles, indented in its text, and within its sentences."""
    text = guide.read_text()
    consoles = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [
        *re.findall(r"^\$ (.*)$", consoles, re.MULTILINE),
        *re.findall(r"^    (\S.*)$", prose, re.MULTILINE),
        *in_sentences(prose),
    ]


def shown_in_comments(file):
    """The shell lines in the comments of a file: on lines of their own, and within sentences."""
    comments = "\n".join(re.findall(r"#(.*)$", file.read_text(), re.MULTILINE))
    return [*re.findall(rf"^ {{3}}((?:{IN_SENTENCES}) .*)$", comments, re.MULTILINE), *in_sentences(comments)]


def in_sentences(text):
    return [line.replace("\n", " ") for line in re.findall(rf"`((?:{IN_SENTENCES}) [^`]+)`", text)]


def shown():
    guides = {(guide.name, line) for guide in GUIDES for line in shown_in(guide)}
    comments = {(str(file.relative_to(ROOT)), line) for file in WITH_COMMENTS for line in shown_in_comments(file)}
    return sorted(guides | comments)


def commands_of(line):
    """The commands of a shell line, each as its words, what stands in `$(...)` first.

    Comments, redirections, variables and what marks an argument as optional are left out.
    """
    inner = [command for found in re.findall(r"\$\(([^()]*)\)", line) for command in commands_of(found)]
    commands = [[]]
    words = iter(shlex.split(re.sub(r"\$\([^()]*\)", "VALUE", line), comments=True))
    for word in words:
        if word in {"&&", "|", ";"}:
            commands.append([])
        elif word in {">", "<"}:
            next(words)
        else:
            commands[-1].append(word)
    return inner + [words for words in map(without_variables, commands) if words]


def without_variables(words):
    """A command without `env -i` and the variables before it."""
    while words and (words[0] in {"env", "-i"} or re.match(r"\w+=", words[0])):
        words = words[1:]
    return words


def check(words):
    """That a command exists and takes what it is given; one that no check knows is refused."""
    program, *arguments = words
    if program == "docker":
        compose(arguments)
    elif program == "python":
        python(arguments)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), arguments
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert arguments[0] == "install"
        assert arguments[1] == "vllm" or re.fullmatch(rf"\.\[({'|'.join(extras)})\]", arguments[1]), arguments
    elif program == "htpasswd":
        assert f"auth_basic_user_file {arguments[1]};" in (ROOT / "deploy/proxy/nginx.conf").read_text()
    elif program == "export":
        assert {word.partition("=")[0].lower() for word in arguments} <= Settings.model_fields.keys()
    elif program in {"helm", "kubectl"}:
        assert (ROOT / arguments[arguments.index("-f") + 1]).is_file()
    elif program in {"pg_dump", "pg_restore"}:
        ours = SERVICES["postgres"]["environment"]
        assert arguments[arguments.index("-U") + 1] == ours["POSTGRES_USER"]
        assert ours["POSTGRES_DB"] in arguments
    elif program not in OTHERS:
        ours_or_click(program, plain(arguments))


def plain(arguments):
    """Arguments without what only a person reads: `...`, and brackets around what is optional."""
    return [word.strip("[]") for word in arguments if word != "..."]


def ours_or_click(program, arguments):
    if program == "ocrlty" and arguments[:1] == ["dagster"]:
        program, *arguments = arguments
    if program == "dagster":
        assert arguments[:2] != ["job", "backfill"] or "--noprompt" in arguments, "it would ask"
        parse(create_dagster_cli(), arguments)
    elif program == "celery":
        parse(celery, arguments)
    else:
        assert program == "ocrlty", f"no test knows how to check {program}"
        if arguments:
            assert arguments[0] in COMMANDS, f"there is no command ocrlty {arguments[0]}"
            parse(typer.main.get_command(build_app(arguments[0])), arguments)


def python(arguments):
    match arguments:
        case ["-c", code]:
            compile(code, "<guide>", "exec")
        case ["-m", "ocrlty_api.auth_cli", *rest]:
            parse(typer.main.get_command(auth_cli.app), plain(rest))
        case ["-m", module]:
            assert find_spec(module) is not None
        case _:
            assert arguments == ["-m"], arguments


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


def compose(arguments):
    """The options of compose and its command, the services that it names, and what it starts in one of them."""
    assert arguments[0] == "compose"
    _, (command, *rest) = options_of("", arguments[1:])
    options, rest = options_of(command, rest)
    started = rest[1:] if command in {"exec", "run"} else []
    named = rest[: len(rest) - len(started)]
    assert set(named) <= SERVICES.keys(), f"docker-compose.yml has not all of {named}"
    if command == "run":
        assert {"--rm", "--no-deps"} <= set(options), "it would start other services, or stay"
    if started:
        check(started)


def options_of(command, words):
    """The options that stand first, and what follows them."""
    given = []
    while words and words[0].startswith("-"):
        given.append(words[0])
        words = words[2 if COMPOSE[command][words[0]] else 1 :]
    return given, words


@pytest.mark.parametrize(("guide", "line"), shown(), ids=lambda value: value)
def test_every_command_of_a_guide_exists_with_its_options(guide, line):
    for words in commands_of(line):
        check(words)


def test_every_kind_of_shell_line_is_seen():
    lines = [line for _, line in shown()]
    assert len(lines) > 100
    for words in (
        ["ocrlty", "backup", "/backup/artifacts.tar.gz", "--inputs"],
        ["ocrlty", "restore", "/backup/artifacts.tar.gz"],
        ["celery", "-A", "dagster_celery.app", "worker", "-Q", "dagster", "-c", "4", "-n", "VALUE-1@%h"],
        ["htpasswd", "-c", "/etc/nginx/ocrlty.htpasswd", "ada"],
        ["kubectl", "apply", "-n", "ocrlty", "-f", "deploy/k8s/api.yaml"],
        ["python", "-m", "ocrlty_api.auth_cli", "create-key", "..."],
        ["jq", "-r", ".poll_url"],
    ):
        assert any(words in commands_of(line) for line in lines), words
    drill = [words for line in shown_in(STORAGE) if "/tmp/drill" in line for words in commands_of(line)]
    assert ["mkdir", "/tmp/drill"] in drill
    assert ["ocrlty", "leaderboard", "SET"] in drill


@pytest.mark.parametrize(
    "line",
    [
        "ocrlty backup file --no-such-option",
        "ocrlty no-such-command",
        "dagster job backfill -j batch_extract --partitions 'a|b' -w workspace.yaml",
        "celery -A dagster_celery.app worker --no-such-option",
        "docker compose run --rm api ocrlty reindex",
        "docker compose run --rm --no-deps api ocrlty no-such-command",
        "docker compose up --no-such-option",
        "docker compose stop no-such-service",
        "make no-such-target",
        "pip install 'ocrlty[celery]'",
        "kubectl apply -f deploy/k8s/no-such-file.yaml",
        "no-such-program",
        "X=$(ocrlty no-such-command)",
    ],
)
def test_what_does_not_exist_is_refused(line):
    (words,) = commands_of(line)
    with pytest.raises(Exception, match=r"no-such|it would|\[celery\]"):
        check(words)


def test_the_drill_restores_nothing_into_production_whatever_the_environment_names(tmp_path, monkeypatch):
    """The folder that it makes has no `.env`; the shell's own variables are those of a server."""
    monkeypatch.chdir(tmp_path)
    production = {
        "DATABASE_URL": "postgresql+psycopg://ocrlty@production/ocrlty",
        "S3_BUCKET": "production",
        "ARTIFACTS_DIR": "/var/lib/ocrlty/artifacts",
        "DAGSTER_HOME": "/opt/dagster/home",
        "DAGSTER_POSTGRES_URL": "postgresql+psycopg2://ocrlty@production/ocrlty",
    }
    drill = [line for line in shown_in(STORAGE) if "/tmp/drill ocrlty" in line]
    assert len(drill) == 2
    for line in drill:
        before = shlex.split(line)[: shlex.split(line).index("ocrlty")]
        given = dict(word.split("=", 1) for word in before if "=" in word)
        kept = {} if before[:2] == ["env", "-i"] else production
        with patch.dict(os.environ, {**kept, **given}, clear=True):
            settings = load_settings()
            assert not production.keys() & os.environ.keys()
        assert (settings.database_url, settings.s3_bucket) == (None, None)
        assert settings.artifacts_path == Path("/tmp/drill/artifacts").resolve()


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
