"""Print a script that completes commands in your shell.

The script holds the names of all commands and options, so completing them starts no program;
paths are completed by the shell itself.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser
from collections.abc import Iterator

from ..core.outcome import Outcome, Status
from .call import Call
from .pages import all_parsers
from .parser import common_actions, option_choices, own_actions, value_name
from .table import COMMANDS

EXAMPLES = (
    ("hold completion bash >> ~/.bashrc", "for bash"),
    ('hold completion zsh > "${fpath[1]}/_hold"', "for zsh"),
    ("hold completion fish > ~/.config/fish/completions/hold.fish", "for fish"),
)

FOLDER_VALUES = ("DIR", "DATASET", "FOLDER", "PATH")
"""Values that are completed as paths; other values are left to the person."""


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("shell", metavar="SHELL", choices=sorted(WRITERS), help="bash, zsh or fish")


def run(call: Call) -> int:
    """Carry it out."""
    return call.finish(scripts(call.options.shell), _text)


def scripts(shell: str) -> Iterator[Outcome]:
    """The script for a shell."""
    yield Outcome(
        "completion", Status.OK, facts={"shell": shell, "script": WRITERS[shell]().rstrip()}
    )


def _text(outcome: Outcome) -> str:
    return str(outcome.facts["script"])


def _options() -> Iterator[tuple[str, str, list[Action], list[str]]]:
    """Each command: name, its line, its options, the fixed words it takes as arguments."""
    for name, _, line, _, parser in all_parsers():
        arguments, options = own_actions(parser)
        words = [word for argument in arguments for word in option_choices(argument)]
        if name == "help":
            words = [command for command, _, _, _ in COMMANDS]
        yield name, line, options + common_actions(parser), words


def bash() -> str:
    """A function that looks at the words typed so far, and the table as a case statement."""
    cases = []
    valued: set[str] = set()
    for name, _, options, words in _options():
        flags = " ".join(flag for option in options for flag in option.option_strings)
        valued.update(f for o in options if value_name(o) for f in o.option_strings)
        cases.append(f'        {name}) flags="{flags}"; words="{" ".join(words)}" ;;')
    names = " ".join(name for name, _, _, _ in COMMANDS)
    return "\n".join(
        [
            "# completion of hold for bash",
            "_hold() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" command="" flags="" words="" i',
            "    COMPREPLY=()",
            "    for ((i = 1; i < COMP_CWORD; i++)); do",
            '        case "${COMP_WORDS[i]}" in',
            "            -C|-d|--dataset|-c) ((i++)) ;;",
            "            -*) ;;",
            '            *) command="${COMP_WORDS[i]}"; break ;;',
            "        esac",
            "    done",
            '    case "${COMP_WORDS[COMP_CWORD-1]}" in',
            f"        {'|'.join(sorted(valued))}) return ;;",
            "    esac",
            '    case "$command" in',
            f'        "") flags="-C -d --dataset -c --version --help"; words="{names}" ;;',
            *cases,
            "    esac",
            '    if [[ "$current" == -* ]]; then',
            '        COMPREPLY=($(compgen -W "$flags" -- "$current"))',
            '    elif [[ -n "$words" ]]; then',
            '        COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "    fi",
            "}",
            "complete -o bashdefault -o default -F _hold hold",
            "",
        ]
    )


def zsh() -> str:
    """The commands with their lines, and the options of each for ``_arguments``."""
    described = [f"    '{name}:{_zsh(line)}'" for name, _, _, line in COMMANDS]
    cases = []
    for name, _, options, words in _options():
        specs = [f"'{_zsh_option(flag, o)}'" for o in options for flag in o.option_strings]
        rest = f"'*: :({' '.join(words)})'" if words else "'*: :_files'"
        cases.append(f"    {name}) _arguments {' '.join([*specs, rest])} ;;")
    return "\n".join(
        [
            "#compdef hold",
            "_hold() {",
            "  local -a commands",
            "  commands=(",
            *described,
            "  )",
            "  local line state",
            "  _arguments -C '-C[work there]:folder:_files -/' "
            "'(-d --dataset)'{-d,--dataset}'[data set]:folder:_files -/' "
            "'*-c[set for this call]:setting:' '--version[print the version]' "
            "'(-h --help)'{-h,--help}'[print help]' '1: :->command' '*:: :->rest'",
            "  case $state in",
            "  command) _describe command commands ;;",
            "  rest) case $line[1] in",
            *cases,
            "    esac ;;",
            "  esac",
            "}",
            'if [[ $funcstack[1] == _hold ]]; then _hold "$@"; else compdef _hold hold; fi',
            "",
        ]
    )


def _zsh(text: str) -> str:
    return text.replace("'", "'\\''").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")


def _zsh_option(flag: str, option: Action) -> str:
    spec = f"*{flag}[{_zsh(option.help or '')}]"
    value = value_name(option)
    if not value:
        return spec
    return f"{spec}:{value.lower()}:{'_files' if value in FOLDER_VALUES else ''}"


def fish() -> str:
    """A ``complete`` line for each command and each of its options."""
    lines = [
        "# completion of hold for fish",
        f"set -l commands {' '.join(name for name, _, _, _ in COMMANDS)}",
        "set -l none 'not __fish_seen_subcommand_from '\"$commands\"",
    ]
    for name, line, options, words in _options():
        lines.append(f"complete -c hold -f -n \"$none\" -a {name} -d '{_fish(line)}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c hold {seen} {_fish_option(option)}" for option in options]
        if words:
            lines.append(f"complete -c hold -f {seen} -a '{' '.join(words)}'")
    return "\n".join(lines) + "\n"


def _fish(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _fish_option(option: Action) -> str:
    flags = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.option_strings]
    value = value_name(option)
    needs = "" if not value else " -r" if value in FOLDER_VALUES else " -x"
    return f"{' '.join(flags)}{needs} -d '{_fish(option.help or '')}'"


WRITERS = {"bash": bash, "fish": fish, "zsh": zsh}
