"""The command line as a whole: speed, help, errors, commands of plugins."""

import errno
import os
import resource
import subprocess
import sys
import types

import click
import pytest
from click.testing import CliRunner

from ganforge import __version__
from ganforge.api import hookimpl
from ganforge.cli import _COMMANDS, _group, main
from ganforge.errors import ConfigError, PluginConflict, ShardError, explain
from ganforge.registry import plugins as registry

PROBE = (
    "import sys; from click.testing import CliRunner; from ganforge.cli import main; "
    "result = CliRunner().invoke(main, {arguments!r}); assert not result.exit_code, result.output; "
    "print(sorted(m for m in ('torch', 'pydantic', 'numpy', 'omegaconf') if m in sys.modules))"
)


def leaf_commands():
    """All commands with their path, groups included."""
    found = []

    def walk(command, path):
        found.append((path, command))
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                walk(command.get_command(click.Context(command), name), (*path, name))

    walk(main, ())
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in ("run", "generate", "sample", "data")),
    ],
    ids=str,
)
def test_help_imports_nothing_heavy(arguments):
    code = PROBE.format(arguments=arguments)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_help_takes_at_most_half_a_second_of_processor_time():
    # Processor time, because the clock depends on what else the machine does.
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(3):
        before = spent()
        command = [sys.executable, "-m", "ganforge", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        times.append(spent() - before)

    assert min(times) < 0.5


def test_help_lists_every_built_in_command(ganforge):
    output = ganforge("--help").output

    assert all(f"  {name} " in output for name in _COMMANDS)


@pytest.mark.parametrize(
    ("path", "command"), leaf_commands(), ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_every_command_has_help_with_an_example(ganforge, path, command):
    output = ganforge(*path, "--help").output

    assert command.help
    assert " ".join(("Example: ganforge", *path)) in " ".join(output.split())


def test_version_is_the_package_s(ganforge):
    assert __version__ in ganforge("--version").output


def test_unknown_command_lists_near_ones(ganforge):
    output = ganforge("rnu", code=2).stderr

    assert "No such command 'rnu'. Did you mean 'run'?" in output


def test_module_runs_the_same_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "--version"], capture_output=True, text=True
    )

    assert done.stdout == f"ganforge, version {__version__}\n"


# Errors ----------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """A command line whose command `fail` raises what is given."""

    def _failing(error):
        @click.command()
        def fail():
            """Fail."""
            raise error

        monkeypatch.setattr(_group, "third_party_commands", lambda: {"fail": (fail, "made")})
        return CliRunner().invoke(main, ["fail"])

    return _failing


@pytest.mark.parametrize("kind", [ConfigError, ShardError, PluginConflict])
def test_users_error_is_one_message_with_exit_code_2(failing, kind):
    result = failing(kind("x is wrong (here). Do that."))

    assert (result.exit_code, result.stderr) == (2, "Error: x is wrong (here). Do that.\n")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, r"Access to /data/x is not permitted. Choose a path you may write to"),
        (errno.ENOSPC, r"Access to /data/x failed: the disk is full. Make room"),
        (errno.EROFS, r"the file system is read-only"),
        (errno.ENOENT, r"it does not exist. Check the path"),
        (errno.EEXIST, r"something of this name is in the way. Remove it or choose another path"),
        (errno.EDQUOT, r"your disk quota is used up"),
    ],
)
def test_operating_system_error_on_a_path_becomes_a_message(failing, number, expected):
    result = failing(OSError(number, os.strerror(number), "/data/x"))

    assert result.exit_code == 2
    assert expected in result.stderr


def test_current_folder_that_was_deleted_is_named(monkeypatch):
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert explain(error) is None

    def fail():
        raise error

    monkeypatch.setattr(os, "getcwd", fail)
    assert explain(error) == "The current folder was deleted. Change to another one: cd FOLDER."


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), OSError(errno.EIO, "no path"), OSError(errno.EACCES, "no path")]
)
def test_other_error_keeps_its_traceback(failing, error):
    result = failing(error)

    assert result.exception is error
    assert explain(error) is None


# Commands of plugins ---------------------------------------------------------------------------


class Entry:
    def __init__(self, name, distribution, module):
        self.name, self.value, self._module = name, f"module_{name}", module
        self.dist = types.SimpleNamespace(name=distribution, version="1")

    def load(self):
        if isinstance(self._module, Exception):
            raise self._module
        return self._module


def plugin_with(*commands):
    module = types.ModuleType("made_up")
    module.ganforge_commands = hookimpl(lambda: list(commands))
    return module


def greet_command(name="greet"):
    @click.command(name)
    def greet():
        """Say hello."""
        click.echo("hello")

    return greet


@pytest.fixture
def install(monkeypatch):
    """Make entry points look installed; forgets what was loaded."""

    def _install(*entries):
        _group.third_party_commands.cache_clear()
        monkeypatch.setattr(_group.importlib.metadata, "entry_points", lambda group: list(entries))

    yield _install
    _group.third_party_commands.cache_clear()


def test_plugin_command_is_listed_and_runs(install, ganforge):
    install(Entry("made", "made-up", plugin_with(greet_command())))

    assert "greet" in ganforge("--help").output
    assert ganforge("greet").output == "hello\n"


def test_built_in_plugins_are_not_loaded_for_help(install, ganforge):
    install(Entry("dcgan", "ganforge", RuntimeError("must not be loaded")))

    assert ganforge("--help").stderr == ""


def test_plugin_that_fails_to_import_warns_but_help_works(install, ganforge):
    install(Entry("bad", "ganforge-bad", ImportError("no numpyy")))

    result = ganforge("--help")

    assert "Warning: Plugin 'bad' (ganforge-bad 1" in result.stderr
    assert "run" in result.stdout


def test_plugin_command_with_a_built_in_name_is_a_conflict(install, ganforge):
    install(Entry("made", "made-up", plugin_with(greet_command("run"))))

    assert "adds the command 'run', which ganforge has itself" in ganforge("--help").stderr


def test_plugin_commands_of_one_name_conflict(install, ganforge):
    install(
        Entry("a", "one", plugin_with(greet_command())),
        Entry("b", "two", plugin_with(greet_command())),
    )

    message = ganforge("greet", code=2).stderr

    assert "both add the command 'greet'. Uninstall one" in message


def test_static_table_matches_the_modules():
    assert all(main.get_command(click.Context(main), name).name == name for name in _COMMANDS)
    assert registry.GROUP == "ganforge"
