"""Commands and their options, out of dataclasses: a field is an option, its metadata the help. Runs nothing.

A command is a dataclass of `option` and `argument` fields with a `run` method and its help as docstring; the
settings of a model are a dataclass of the library, whose fields become options in the same way.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import re
import shutil
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol, Union, get_args, get_origin, get_type_hints

from gatelight.errors import DataError

NONE = "none"
METAVARS: Mapping[type, str] = {int: "N", float: "X", str: "NAME", Path: "FILE"}
WANTED: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "yes or no"}
TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
FLAGS = {"random_state": "seed"}
"""Fields that are typed under another name."""

DATA = "file, folder or archive of texts, or a data set's name"
MODEL = "the folder of a saved model"
JSON = "JSON on stdout; what is for people goes to stderr"
READING = "reading DATA"  # the group of options that comes last
RUNS = "folder for what each run finds"
THREADS = "threads to compute with; the result does not depend on it"


class Command(Protocol):
    """What can be typed after `gatelight`."""

    run: Callable[..., None]
    """Do it, and tell of it on the console that is given: stdout, or stderr where stdout carries JSON."""


@dataclass(frozen=True)
class Option:
    """One option, or where `positional` one argument, of a command."""

    name: str
    kind: type
    help: str
    default: Any = None
    group: str = ""
    metavar: str = ""
    short: str = ""
    nullable: bool = False  # whether "none" may be typed
    many: bool = False
    commas: bool = True  # whether those of a list may be typed with commas between
    positional: bool = False
    required: bool = False
    least: float | None = None
    most: float | None = None

    @property
    def flag(self) -> str:
        """Return the option as it is typed."""
        return "--" + FLAGS.get(self.name, self.name).rstrip("_").replace("_", "-")


def option(help: str, default: Any = None, **how: Any) -> Any:
    """Return a dataclass field that is an option, `how` being other fields of `Option`.

    A bool becomes --name, or --no-name where it is true.
    """
    said = {"help": help, **how}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=said)
    return field(default=default, metadata=said)


def argument(help: str, metavar: str) -> Any:
    """Return a dataclass field that is typed by its place; of a list, one or more."""
    return option(help, metavar=metavar, positional=True)


def options_of(described: type, helps: Mapping[str, str] | None = None) -> list[Option]:
    """Return the options of a dataclass, whose fields have their help in the metadata or in `helps`.

    Fields without help are no options.
    """
    hints, helps, found = get_type_hints(described), helps or {}, []
    for one in dataclasses.fields(described):
        said = {"help": helps[one.name]} if one.name in helps else dict(one.metadata)
        if "help" in said:
            found.append(_option(one, hints[one.name], said))
    return found


def _option(one: dataclasses.Field[Any], hint: Any, said: dict[str, Any]) -> Option:
    default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
    kinds = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    known = [kind for kind in kinds if kind is not type(None)]
    many = get_origin(known[0]) is list
    if many:
        kind = get_args(known[0])[0]
    elif hint is Any and default is not None:
        kind = type(default)
    else:  # what only Python can give as an object is typed by its name
        kind = next((kind for kind in known if kind in (bool, int, float, Path)), str)
    nullable = len(known) < len(kinds) or (hint is Any and default is None)
    return Option(name=one.name, kind=kind, default=default, nullable=nullable, many=many, **said)


class Parser(argparse.ArgumentParser):
    """Reads what was typed after a command's name; every mistake is a DataError of one line."""

    def __init__(self, name: str, described: type, settings: Sequence[Option] = ()) -> None:
        super().__init__(
            prog=f"gatelight {name}",
            description=inspect.cleandoc(described.__doc__ or ""),
            formatter_class=_Formatter,
            argument_default=argparse.SUPPRESS,  # the dataclass knows the defaults
            allow_abbrev=False,
            add_help=False,
        )
        self._described, self._settings = described, [one.name for one in settings]
        self._groups: dict[str, Any] = {}
        own = options_of(described)
        places = [_metavar(one) if not one.nullable else f"[{one.metavar}]" for one in own if one.positional]
        needed = [f"{one.flag} {_metavar(one)}" for one in own if one.required]
        self.usage = " ".join([self.prog, *places, *needed, "[options]"])
        self.needs_something = any(not one.nullable for one in own if one.positional) or bool(needed)
        self.flags = {one.name: one.flag for one in (*own, *settings) if not one.positional}
        for one in own:
            if one.group != READING:
                self._add(one)
        self._group("").add_argument("--help", action="help", help="show this and exit")
        for one in settings:
            self._add(one, setting=True)
        for one in own:
            if one.group == READING:
                self._add(one)

    def command(self, typed: Sequence[str]) -> Command:
        """Return the command that was typed; raises DataError for what cannot be."""
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for word in typed[: typed.index("--") if "--" in typed else None]:
            flag = word.partition("=")[0]
            if re.fullmatch(r"--[A-Za-z][\w-]*", flag) and flag not in known:
                raise DataError(f"there is no option {flag}{meant(flag, known)}; see {self.prog} --help")
        found, strange = self.parse_known_intermixed_args(typed)
        if strange:
            raise DataError(f"{strange[0]!r} is too much for {self.prog}; see {self.prog} --help")
        given = vars(found)
        if self._settings:
            given["settings"] = {name: given.pop(name) for name in self._settings if name in given}
        return self._described(**given)  # type: ignore[no-any-return]

    def error(self, message: str) -> NoReturn:
        """Raise DataError instead of ending the program."""
        message = message.replace("the following arguments are required:", f"{self.prog} needs")
        raise DataError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def _add(self, one: Option, setting: bool = False) -> None:
        said = one.help.rstrip(".")
        said = said if said[1:2].isupper() else said[:1].lower() + said[1:]
        how: dict[str, Any] = {"help": f"{said}{_default(one, setting)}".replace("%", "%%")}
        if one.positional:
            number = {(True, False): "+", (True, True): "*", (False, True): "?"}.get((one.many, one.nullable))
            self._group("").add_argument(one.name, type=one.kind, metavar=one.metavar, nargs=number, **how)
            return
        flags = [one.flag, *([f"-{one.short}"] if one.short else [])]
        if one.kind is bool and setting:
            how["action"] = argparse.BooleanOptionalAction
        elif one.kind is bool:
            how["action"] = "store_false" if one.default else "store_true"
            flags = [f"--no-{one.flag[2:]}"] if one.default else flags
        else:
            how["type"] = partial(_read, one=one, setting=setting)
            how |= {"metavar": _metavar(one), "required": one.required}
            how |= {"action": "extend"} if one.many else {}
        self._group(one.group).add_argument(*flags, dest=one.name, **how)

    def _group(self, title: str) -> Any:
        if title not in self._groups:
            self._groups[title] = self.add_argument_group(title or "options")
        return self._groups[title]


def meant(typed: str, known: Iterable[str]) -> str:
    """Return what to add to "there is no …": the known name that was meant, where one is near."""
    names = {one.lstrip("-"): one for one in known}
    name = typed.lstrip("-")
    found = [FLAGS.get(name.replace("-", "_"), name)]
    found += [one for one in names if "".join(word[0] for word in one.split("-") if word) == name]
    found += [one for one in names if name in one.split("-")]
    found += difflib.get_close_matches(name, names, 1)
    near = next((names[one] for one in found if one in names), None)
    return "" if near in (None, typed) else f" (did you mean {near}?)"


def _default(one: Option, setting: bool) -> str:
    default = ",".join(map(str, one.default)) if isinstance(one.default, list) else one.default
    if setting:
        words: dict[Any, str] = {None: NONE}
        if one.kind is bool:
            words |= {True: "yes", False: "no"}
        return f" [{words.get(default, default)}]"
    nothing = default in (None, "") or isinstance(default, bool) or one.positional or one.required
    return "" if nothing else f" [{default}]"


def _metavar(one: Option) -> str:
    if one.positional:
        return f"{one.metavar}…" if one.many else one.metavar
    return one.metavar or METAVARS[one.kind] + (",…" if one.many and one.commas else "")


def _read(typed: str, one: Option, setting: bool) -> Any:
    """Turn a typed word into a value, or for a list several with commas between into a list."""
    try:
        if one.many:
            return [_value(one, part, setting) for part in (typed.split(",") if one.commas else [typed])]
        return _value(one, typed, setting)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def values_of(setting: Option, typed: str) -> list[Any]:
    """Return the values of a setting that were typed with commas between; DataError for a strange one."""
    try:
        return [_value(setting, part, True) for part in typed.split(",")]
    except ValueError as error:
        raise DataError(f"{setting.name.replace('_', '-')}: {error}") from None


def _value(one: Option, typed: str, setting: bool) -> Any:
    typed, nullable = typed.strip() if one.many or setting else typed, setting and one.nullable
    if nullable and typed.lower() == NONE:
        return None
    try:
        found = TRUTH[typed.lower()] if one.kind is bool else one.kind(typed)
    except (ValueError, KeyError):
        wanted = f"{WANTED[one.kind]}{f', or {NONE}' if nullable else ''}"
        raise ValueError(f"{typed!r} is not {wanted}") from None
    if one.least is not None and not found >= one.least:
        raise ValueError(f"{typed} came; expected {one.least:g} or more")
    if one.most is not None and not found <= one.most:
        raise ValueError(f"{typed} came; expected {one.most:g} or less")
    return found


class _Formatter(argparse.HelpFormatter):
    """Help of one line an option, where it fits."""

    def __init__(self, prog: str) -> None:
        width = min(max(shutil.get_terminal_size().columns, 40), 100)
        super().__init__(prog, max_help_position=28, width=width)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = "Usage: ") -> None:
        super().add_usage(usage, actions, groups, prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(textwrap.fill(" ".join(part.split()), width) for part in text.split("\n\n"))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"--[no-]{action.option_strings[0][2:]}"
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(reversed(action.option_strings))} {action.metavar}"


def in_options(message: str, flags: Mapping[str, str]) -> str:
    """Return a message of the library with its parameters (`label_column`, `layers=2`) named as options.

    A parameter is named bare, where no word of prose is spelt so, or with a value. What stands in quotes,
    in a path or in another name is the user's own and not meant.
    """

    def name(found: re.Match[str]) -> str:
        flag, value = flags[found["name"]], found["value"]
        if value is None:
            return flag if "_" in found["name"] else found[0]
        given = value[1:].strip("'")
        if given in ("True", "False"):
            return flag if given == "True" else f"--no-{flag[2:]}"
        return f"{flag} {given}".rstrip()

    named = (
        rf"(?<![\w'\"/.-])(?P<name>{'|'.join(flags)})"
        r"(?:(?P<value>=(?:'[^']*'|\w+(?:[.+-]\w+)*)?)|(?![\w'\"/.=-]))"
    )
    return re.sub(named, name, message)
