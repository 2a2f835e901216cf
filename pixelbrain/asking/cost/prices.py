"""What models cost, and how they count images: one dated table, over which a file of the user's goes.

Sources, read on `PRICES_DATE` in stored copies of OpenAI's own pages (nothing was asked of the API itself):

- dollars: https://developers.openai.com/api/docs/pricing, tables "Standard" and "Batch". Batch is half of Standard for
  every model below. Cached input, long contexts, Flex, Fast mode and regional uplifts (10 %) are not counted.
- image tokens: https://developers.openai.com/api/docs/guides/images-vision, "Model sizing behavior" and "Calculating
  costs": the tables of multipliers, of base and tile tokens, and both formulas, with their worked examples, which are
  in the tests. Billing may differ from the formula by one token, the page says.

Models that the page calls deprecated (gpt-5, gpt-5-mini, gpt-5-nano, gpt-4.1-nano, o4-mini) still have their multiplier
or tile tokens there, and no longer a size limit: theirs, 1,536 patches, is from the page's earlier editions and was not
confirmed. What we send has been reduced to that, so it cannot make an estimate too low; with `image_urls` it could.
So have o1 and o3 (tiles), and gpt-4-turbo and the vision previews before it, which are counted as gpt-4o; the prices of
these, of chatgpt-4o-latest and of fine-tuned models (`ft:`) are from the price list's earlier editions.
The newest models of the price list (gpt-6) have no image rule on the page: they are left out rather than guessed.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixelbrain.asking.cost.image_tokens import Detail, PatchTokens, TileTokens
from pixelbrain.config import choose
from pixelbrain.errors import ConfigError

PRICES_DATE = "2026-11-22"


@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """A model's dollars, and how it counts an image."""

    model: str
    input_usd_per_million: Decimal  # tokens
    output_usd_per_million: Decimal
    tokens: TileTokens | PatchTokens
    batch_factor: Decimal = Decimal("0.5")  # the Batch API's price, as a part of this one
    reasoning: bool = False  # thinks before it answers (billed as output), and takes no temperature
    json_schema: bool = True  # takes a schema for its answer; else it is told one in words


#: The figures of a `ModelPrice` that say what its tokens cost.
DOLLARS = ("input_usd_per_million", "output_usd_per_million", "batch_factor")


def _price(model: str, input_usd: str, output_usd: str, tokens: TileTokens | PatchTokens, **more: Any) -> ModelPrice:
    more |= {"input_usd_per_million": Decimal(input_usd), "output_usd_per_million": Decimal(output_usd)}
    return ModelPrice(model=model, tokens=tokens, **more)


_GPT_4 = TileTokens(base=85, tile=170)
_GPT_5 = TileTokens(base=70, tile=140)
_O = TileTokens(base=75, tile=150)
#: Low detail on these is sized by the server like high detail (gpt-5.4: even larger), so it is we who reduce it.
_GPT_5_4 = PatchTokens(multiplier=Decimal("1.2"), budget=2500, low_side_px=2048, low_budget=6144)
_GPT_5_5 = PatchTokens(multiplier=Decimal("1.2"), budget=2500)


def _patches(multiplier: str, budget: int = 1536) -> PatchTokens:
    return PatchTokens(multiplier=Decimal(multiplier), budget=budget, low_side_px=2048, low_budget=budget)


PRICES: dict[str, ModelPrice] = {
    price.model: price
    for price in (
        _price("gpt-4o", "2.50", "10.00", _GPT_4),
        _price("gpt-4o-2024-05-13", "5.00", "15.00", _GPT_4, json_schema=False),
        _price("chatgpt-4o-latest", "5.00", "15.00", _GPT_4, json_schema=False),
        _price("gpt-4o-mini", "0.15", "0.60", TileTokens(base=2833, tile=5667)),
        _price("gpt-4.1", "2.00", "8.00", _GPT_4),
        _price("gpt-4.1-mini", "0.40", "1.60", _patches("1.62", 6144)),
        _price("gpt-4.1-nano", "0.10", "0.40", _patches("2.46")),
        _price("gpt-4-turbo", "10.00", "30.00", _GPT_4, json_schema=False),
        _price("gpt-4-vision-preview", "10.00", "30.00", _GPT_4, json_schema=False),
        _price("gpt-4-1106-vision-preview", "10.00", "30.00", _GPT_4, json_schema=False),
        _price("o1", "15.00", "60.00", _O, reasoning=True),
        _price("o3", "2.00", "8.00", _O, reasoning=True),
        _price("o4-mini", "1.10", "4.40", _patches("1.72"), reasoning=True),
        _price("gpt-5", "1.25", "10.00", _GPT_5, reasoning=True),
        _price("gpt-5-chat-latest", "1.25", "10.00", _GPT_5),
        _price("gpt-5-mini", "0.25", "2.00", _patches("1.2"), reasoning=True),
        _price("gpt-5-nano", "0.05", "0.40", _patches("1.5"), reasoning=True),
        _price("gpt-5.1", "1.25", "10.00", _GPT_5, reasoning=True),
        _price("gpt-5.2", "1.75", "14.00", _patches("1.2", 6144), reasoning=True),
        _price("gpt-5.4", "2.50", "15.00", _GPT_5_4, reasoning=True),
        _price("gpt-5.4-mini", "0.75", "4.50", _GPT_5_4, reasoning=True),
        _price("gpt-5.4-nano", "0.20", "1.25", _GPT_5_4, reasoning=True),
        _price("gpt-5.5", "5.00", "30.00", _GPT_5_5, reasoning=True),
        _price("gpt-5.6-terra", "2.00", "12.00", _GPT_5_5, reasoning=True),
        _price("gpt-5.6-luna", "0.20", "1.20", _GPT_5_5, reasoning=True),
    )
}

#: gpt-4o-2024-08-06 is priced as gpt-4o, and so is a -latest; gpt-4o-audio-preview or gpt-5.9 is another model.
_SNAPSHOT = re.compile(r"-(?:latest|\d{4}-?\d{2}-?\d{2}|\d{4})")
#: ft:gpt-4o-2024-08-06:my-org:my-name:abc123, or a checkpoint of it with one part more: the model that was tuned, and
#: what is spelled as its owner chose.
_FINE_TUNED = re.compile(r"ft:([^:]+)((?::[^:]*){2}(?::[^:]+){1,2})", re.IGNORECASE)
#: What fine-tuned models cost, input and output; they count an image as the model that was tuned.
_TUNED_DOLLARS = {
    "gpt-4o": ("3.75", "15.00"),
    "gpt-4o-mini": ("0.30", "1.20"),
    "gpt-4.1": ("3.00", "12.00"),
    "gpt-4.1-mini": ("0.80", "3.20"),
    "gpt-4.1-nano": ("0.20", "0.80"),
}


def plain_name(model: str) -> str | None:
    """The name that OpenAI has for a model, of the names that others give it; None: it is none of the table.

    LiteLLM, OpenRouter and Azure's portal put providers before it (`openai/gpt-4o`), others with a colon; some set a
    snapshot off by an @, and people write GPT-4o.
    """
    name = re.sub("^(?:openai|azure):", "", model.strip().rpartition("/")[2], flags=re.IGNORECASE).replace("@", "-")
    tuned = _FINE_TUNED.fullmatch(name)
    base = (tuned[1] if tuned else name).lower()
    family = _family(base, PRICES)
    if family is None or (tuned and family not in _TUNED_DOLLARS):
        return None
    return f"ft:{base}{tuned[2]}" if tuned else base


def _family(name: str, table: Iterable[str]) -> str | None:
    """The entry that prices a model or a snapshot of it."""
    family = max((entry for entry in table if name.startswith(entry)), key=len, default=None)
    if family is None or name == family:
        return family
    return family if _SNAPSHOT.fullmatch(name.removeprefix(family)) else None


def find_price(
    model: str,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    server: str | None = None,
    free: bool = False,
) -> ModelPrice:
    """What a model costs.

    Args:
        model: its name, or one that `plain_name` knows; a dated snapshot is found under its family's.
        overrides: prices from the config file by model; each with `input_usd_per_million`,
            `output_usd_per_million`, `batch_factor`, `reasoning`, `json_schema` and `tokens` (`like: gpt-4o`, or
            `base` and `tile`, or `multiplier` and `budget`). What is missing is as in the table, where the model is
            in it.
        server: the base URL of another server than OpenAI's. On one of our own, by its address, a model that nobody
            priced costs nothing.
        free: it is known to be our own: nothing costs anything unless `overrides` price it. A model of the table counts
            its images as there all the same.

    Raises:
        ConfigError: a model that nobody priced, which is never guessed at, or an override that cannot be.
    """
    given = {name: _overridden(name, settings) for name, settings in (overrides or {}).items()}
    table = {**PRICES, **given}
    plain = plain_name(model) or ""
    family = _family(model, table) or _family(plain, table)
    if family is not None:
        found = replace(table[family], model=model)
        nothing = Decimal(0)
        costs = family in given or not free
        return found if costs else replace(found, input_usd_per_million=nothing, output_usd_per_million=nothing)
    if tuned := _FINE_TUNED.fullmatch(plain):
        family = _family(tuned[1], _TUNED_DOLLARS) or ""
        usd_in, usd_out = map(Decimal, ("0", "0") if free else _TUNED_DOLLARS[family])
        return replace(table[family], model=model, input_usd_per_million=usd_in, output_usd_per_million=usd_out)
    if free or (server and is_ours(server)):
        return _price(model, "0", "0", _GPT_4)
    near = difflib.get_close_matches(model.strip().rpartition("/")[2].lower(), table, n=3, cutoff=0.5)
    raise ConfigError(
        f"the price of {model} is not known ({'nearest are' if near else 'known are'}: {', '.join(near or table)}); "
        f"give it in a file for --prices, as in `{model}: {_EXAMPLE}`, or in the config under `prices`"
    )


def read_prices(file: str | Path) -> dict[str, Any]:
    """Prices by model, as `find_price` takes them, of a YAML or JSON file; under a key `prices`, or as they are.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the prices in {file}: {getattr(error, 'strerror', None) or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date that no calendar has
        raise ConfigError(f"{file} is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    if isinstance(found, dict) and [*found] == ["prices"]:
        found = found["prices"]
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{file} holds no prices: write a model a line, as in `my-model: {_EXAMPLE}`")
    for model, settings in found.items():
        try:
            _overridden(str(model), settings)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
    return {str(model): settings for model, settings in found.items()}


_EXAMPLE = "{input_usd_per_million: 0.15, output_usd_per_million: 0.6, tokens: {like: gpt-4o}}"
_OWN_DOMAINS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def is_ours(server: str) -> bool:
    """Whether a URL's host is this machine or in its own network: a loopback or private address, or a name of one."""
    try:
        host = urlsplit(server).hostname or ""
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_OWN_DOMAINS))
    return not address.is_global


_SETTINGS = tuple(field.name for field in fields(ModelPrice) if field.name != "model")
_TOKENS_HINT = "write `like: gpt-4o`, or base and tile, or multiplier and budget"


def _overridden(model: str, settings: Any) -> ModelPrice:
    where = f"prices: {model}"
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} is {settings!r}: it has keys, {', '.join(_SETTINGS)}")
    _known_keys(where, settings, _SETTINGS)
    found: dict[str, Any] = {n: _decimal(f"{where}: {n}", settings[n]) for n in DOLLARS if n in settings}
    for name in ("reasoning", "json_schema"):
        if name in settings:
            if not isinstance(settings[name], bool):
                raise ConfigError(f"{where}: {name} is {settings[name]!r}: it is true or false")
            found[name] = settings[name]
    if "tokens" in settings:
        found["tokens"] = _tokens(f"{where}: tokens", settings["tokens"])
    if model in PRICES:
        return replace(PRICES[model], **found)
    needed = ("input_usd_per_million", "output_usd_per_million", "tokens")
    if missing := [name for name in needed if name not in found]:
        raise ConfigError(f"{where} lacks {missing[0]}: a model that is not in our table needs {', '.join(needed)}")
    return ModelPrice(model=model, **found)


def _tokens(where: str, settings: Any) -> TileTokens | PatchTokens:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} is {settings!r}: {_TOKENS_HINT}")
    if "like" in settings:
        _known_keys(where, settings, ("like",))
        choose(f"{where}: like", settings["like"], PRICES)
        return PRICES[settings["like"]].tokens
    kind = PatchTokens if "multiplier" in settings else TileTokens
    _known_keys(where, settings, tuple(field.name for field in fields(kind)))
    if missing := [field.name for field in fields(kind) if field.default is MISSING and field.name not in settings]:
        raise ConfigError(f"{where} lacks {missing[0]}: {_TOKENS_HINT}")
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "multiplier":
            found[name] = _decimal(f"{where}: {name}", value)
        elif type(value) is not int or value < (0 if name in ("base", "tile") else 1):
            raise ConfigError(f"{where}: {name} is {value!r}: it is a whole number")
        else:
            found[name] = value
    return kind(**found)


def _known_keys(where: str, settings: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := [key for key in settings if key not in known]:
        raise ConfigError(f"{where}: {unknown[0]!r} is no setting; they are {', '.join(known)}")


def _decimal(where: str, value: Any) -> Decimal:
    try:
        found = Decimal(str(value))  # by way of str: 0.15 in YAML means 0.15, and not the binary fraction next to it
    except InvalidOperation:
        found = Decimal(-1)
    if isinstance(value, bool) or not found.is_finite() or found < 0:
        raise ConfigError(f"{where} is {value!r}: it is a number of 0 or more")
    return found


def image_tokens(price: ModelPrice, width: int, height: int, detail: Detail, *, reduced: bool = True) -> int:
    """The tokens that an image costs.

    Args:
        width, height: pixels of the upright original, 1 or more.
        reduced: it is sent in the size that `price.tokens.target` gives; False: as it is, as with `image_urls`.
    """
    if reduced:
        width, height = price.tokens.target(width, height, detail)
    return price.tokens.count(width, height, detail)


def text_tokens(text: str) -> int:
    """An upper estimate of a text's tokens, 0 for none.

    English and JSON have some 4 characters a token (OpenAI's rule of thumb); we count 3, and of all
    that is not ASCII every byte, because rare scripts can take a token a byte. No tokenizer is asked: tiktoken
    would download its tables.
    """
    beyond_ascii = sum(len(c.encode("utf-8", "replace")) for c in text if not c.isascii())
    ascii_characters = sum(c.isascii() for c in text)
    return math.ceil(ascii_characters / 3) + beyond_ascii


def cost_usd(price: ModelPrice, input_tokens: int, output_tokens: int, batch: bool = False) -> Decimal:
    """The dollars of so many tokens, exact: no cent is lost to rounding when requests are added up."""
    dollars = (input_tokens * price.input_usd_per_million + output_tokens * price.output_usd_per_million).scaleb(-6)
    return dollars * price.batch_factor if batch else dollars
