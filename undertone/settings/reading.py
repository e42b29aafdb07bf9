"""What all settings share: strict and frozen, read from a TOML file of differences, written back."""

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class Settings(BaseModel):
    """Base: unknown names, wrong types and later changes are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,  # what was typed may hold a key
        defer_build=True,  # one command needs one recipe's settings
    )

    @classmethod
    def usual(cls) -> dict[str, Any]:
        """What every setting is unless it is said: what a run was told that did not know the setting yet."""
        return cls().model_dump(mode="json")


class Server(Settings):
    """An OpenAI-compatible HTTP server. The key is read from the environment and never written anywhere."""

    base_url: str | None = None
    """address up to /v1; empty: OPENAI_BASE_URL or OpenAI's own"""
    key_variable: str = "OPENAI_API_KEY"
    """environment variable that holds the key"""
    concurrency: int = Field(8, ge=1)
    """requests under way at once"""
    attempts: int = Field(6, ge=1)
    """tries per request on 429, 5xx and time-outs, with exponential back-off"""
    timeout: float = Field(60.0, gt=0)
    """seconds before a request counts as lost"""
    max_tokens_spent: int = Field(2_000_000, ge=0)
    """tokens after which no further request is sent"""

    @field_validator("base_url")
    @classmethod
    def _no_login(cls, address: str | None) -> str | None:
        if address and "@" in urlsplit(address).netloc:
            raise ValueError("leave the login out of the address, settings are written to files; put the key into key_variable")
        return address


class Endpoint(Server):
    """A model at such a server."""

    model: str = ""
    """model name at the endpoint"""


S = TypeVar("S", bound=Settings)


class BadSetting(ValueError):
    """A settings file or flag that does not fit; the message names the setting and the nearest known one."""


def read_config(kind: type[S], path: Path) -> S:
    """`kind` from a TOML file of differences from the defaults."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadSetting(f"{path}: no such settings file") from None
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8, numbers of thousands of digits, endless nesting
        raise BadSetting(f"{path}: not TOML ({error})") from None
    return build(kind, table, str(path))


def build(kind: type[S], table: dict[str, Any], where: str) -> S:
    """`kind` from a plain table; `BadSetting` begins with `where`."""
    try:
        return kind.model_validate_json(_json(table))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadSetting(f"{where}: unknown setting {name!r}; closest known: {closest(name, known(kind))}") from None
        raise BadSetting(": ".join(filter(None, (where, name, first["msg"].removeprefix("Value error, "))))) from None


def _json(table: dict[str, Any]) -> str:
    return json.dumps(table, default=str)


def known(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all settings of `kind`."""
    names = []
    for name, field in kind.model_fields.items():
        names.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += known(field.annotation, f"{prefix}{name}.")
    return names


OTHERS = (dict[str, Any], dict[str, dict[str, Any]])
"""What tables of other commands' settings are."""


def flags(default: Any, prefix: str = "") -> list[str]:
    """Dotted names that are flags beside `default`: of nested settings, and of tables that hold something, what they hold; tables of
    other commands' settings are flags only where a file has filled them."""
    names: list[str] = []
    for name, value in default.items() if isinstance(default, dict) else default:
        inside = isinstance(value, BaseModel) or (isinstance(value, dict) and value)
        if inside:
            names += flags(value, f"{prefix}{name}.")
        elif not (isinstance(default, BaseModel) and type(default).model_fields[name].annotation in OTHERS):
            names.append(prefix + name)
    return names


def closest(name: str, names: list[str], mark: str = "") -> str:
    """The one of `names` that is spelt most like `name`, first of all in its own table; "none" where none is near."""
    table = [one for one in names if one.partition(".")[0] == name.partition(".")[0]]
    lost = [one for one in names if one.rpartition(".")[2] == name]
    close = get_close_matches(name, table or lost or names, n=1, cutoff=0.3)
    return mark + close[0] if close else "none"


def to_toml(settings: Settings, only_changed: bool = False) -> str:
    """The resolved settings as TOML that `--config` reads back; unset ones are left out, and on demand those that are as by default."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True, exclude_defaults=only_changed))
