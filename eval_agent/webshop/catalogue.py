"""The raw product file as products: what counts of a record, and a reader that holds one record at a time.

The file is a JSON array of records (``items_shuffle.json``, several GB in full); the attributes file is one JSON
object, ``{asin: {"attributes", "instruction"?, "instruction_attributes"?}}``. Both may be packed as .xz or .gz.
"""

import gzip
import json
import lzma
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from eval_agent.errors import InputError

FIELDS = ("asin", "name", "full_description", "small_description", "pricing", "customization_options",
          "product_category", "category", "query")
LONGEST_ASIN = 10
PACKED = (".xz", ".gz")
NO_PRICE = 100.0
NO_ATTRIBUTES = ("DUMMY_ATTR",)
_BLOCK = 1 << 20
_LONGEST_RECORD = 1 << 26  # what is not a whole record by then is no JSON
_NOT_OF_A_NUMBER = re.compile(r"[^\d.]")
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, eq=False)
class Product:
    """What pages, search and reward know of a product."""

    asin: str
    title: str
    description: str
    bullets: list[str]
    options: dict[str, list[str]]  # group -> values, in the page's order
    prices: list[float]  # one, or the two ends of a range
    tag: str  # the price as pages show it
    query: str
    category: str
    product_category: str
    attributes: list[str]
    instruction: str | None = None  # of the synthetic goals
    instruction_attributes: list[str] | None = None
    nouns: list[str] | None = None  # of the title; None: not looked for yet

    @classmethod
    def of(cls, record: dict, attributes: dict | None, where: str) -> "Product":
        """The product of a raw record and its entry in the attributes file. Raises InputError naming the field."""
        check_record(record, where)
        known = attributes or {}
        prices = prices_of(record.get("pricing"), where)
        bullets = record["small_description"]
        return cls(
            asin=record["asin"],
            title=record["name"],
            description=record["full_description"],
            bullets=bullets if isinstance(bullets, list) else [bullets],
            options=options_of(record.get("customization_options"), where),
            prices=prices,
            tag=f"${prices[0]}" if len(prices) == 1 else f"${prices[0]} to ${prices[1]}",
            query=record["query"].lower().strip(),
            category=record["category"],
            product_category=record["product_category"],
            attributes=list(known.get("attributes", NO_ATTRIBUTES)),
            instruction=known.get("instruction"),
            instruction_attributes=known.get("instruction_attributes"),
            nouns=record.get("nouns"),
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self))  # escaped: half of a surrogate pair would not go into a file

    @property
    def text(self) -> str:
        """What search reads: title, description, first bullet, options."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        return " ".join([self.title, self.description, *self.bullets[:1], options]).lower()


def check_record(record: object, where: str) -> None:
    """Raises InputError naming the first field that is missing or of a wrong kind."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: found {type(record).__name__}, expected an object with {', '.join(FIELDS)}")
    for field in FIELDS:
        value = record.get(field)
        if field in ("pricing", "customization_options"):
            continue
        if field == "small_description" and isinstance(value, list):
            value = next((part for part in value if not isinstance(part, str)), "")
        if not isinstance(value, str):
            raise InputError(f'{where}: field "{field}" is {_shown(record, field)}, expected a text')


def _shown(record: dict, field: str) -> str:
    return repr(record[field])[:60] if field in record else "missing"


def prices_of(pricing: object, where: str) -> list[float]:
    """"$12.50" -> [12.5], "$5$9.99" -> [5.0, 9.99]; [100.0] where there is none. Raises InputError."""
    if not pricing:
        return [NO_PRICE]
    try:
        prices = [float(_NOT_OF_A_NUMBER.sub("", piece)) for piece in pricing.split("$")[1:]]
    except (ValueError, AttributeError):
        prices = []
    if not prices:
        raise InputError(f'{where}: field "pricing" is {pricing!r}, expected prices like "$12.50"')
    return prices[:2]


def options_of(groups: object, where: str) -> dict[str, list[str]]:
    """Group name -> values, as pages show them. Raises InputError."""
    try:
        return {
            name.lower(): [value["value"].strip().replace("/", " | ").lower() for value in values]
            for name, values in (groups or {}).items() if values is not None
        }
    except (AttributeError, KeyError, TypeError):
        raise InputError(f'{where}: field "customization_options" is {groups!r:.60}, '
                         'expected {group: [{"value": text}, ...]}') from None


def is_product(asin: object) -> bool:
    """Whether the published loader keeps a record with this id (which was not there before)."""
    return isinstance(asin, str) and asin != "nan" and len(asin) <= LONGEST_ASIN


@dataclass(frozen=True)
class RawRecord:
    """One record of the array, and where the next one may begin."""

    value: object
    text: str
    end: int  # byte of the (unpacked) file behind it


def raw_records(path: str | Path, start: int = 0) -> Iterator[RawRecord]:
    """The records of a JSON array from byte ``start`` on, the end of an earlier one. Raises InputError."""
    reader = _Reader(path, start)
    if start == 0:
        reader.expect("[", "a JSON array of products")
    while reader.peek(_BETWEEN) != "]":
        value, text = reader.value()
        yield RawRecord(value, text, reader.place)


def raw_attributes(path: str | Path) -> Iterator[tuple[str, dict]]:
    """(asin, entry) of an attributes file, one after the other. Raises InputError."""
    reader = _Reader(path, 0)
    reader.expect("{", "a JSON object of attributes by asin")
    while reader.peek(_BETWEEN) != "}":
        asin, _ = reader.value()
        reader.expect(":", "an asin and its attributes")
        reader.peek(_BETWEEN)
        entry, _ = reader.value()
        if not isinstance(asin, str) or not isinstance(entry, dict):
            raise InputError(f"{path}: entry {asin!r:.40} is {entry!r:.40}, expected an object")
        yield asin, entry


def open_packed(path: str | Path) -> BinaryIO:
    """A file for reading, unpacked where its name ends in .xz or .gz. Raises InputError where there is none."""
    opener = dict(zip(PACKED, (lzma.open, gzip.open))).get(Path(path).suffix, open)
    try:
        return opener(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


class _Reader:
    """JSON values of a file one after the other, by the standard decoder on a window of the text."""

    def __init__(self, path: str | Path, start: int):
        self._path = path
        self._file = open_packed(path)
        self._file.seek(start)
        self._window, self._at, self._rest = "", 0, b""
        self.place = start  # byte in the file of what has been read

    def peek(self, skipped: re.Pattern) -> str:
        """The character behind what ``skipped`` matches. Raises InputError at the end of the file."""
        while True:
            match = skipped.match(self._window, self._at)
            if match.end() < len(self._window):
                self._advance(match.end())
                return self._window[self._at]
            if not self._more():
                raise InputError(f"{self._path}: ends at byte {self.place}, in the middle of the JSON")

    def expect(self, character: str, what: str) -> None:
        found = self.peek(_BETWEEN)
        if found != character:
            raise InputError(f'{self._path}: found "{found}" at byte {self.place}, expected {what}')
        self._advance(self._at + 1)

    def value(self) -> tuple[object, str]:
        """(the value here, its text). Raises InputError where there is none."""
        while True:
            fault = "ends too early"
            try:
                value, end = _DECODER.raw_decode(self._window, self._at)
            except json.JSONDecodeError as error:
                fault = error.msg
            else:
                if end < len(self._window) or isinstance(value, (dict, list, str)):  # a number may go on
                    text = self._window[self._at:end]
                    self._advance(end)
                    return value, text
            if len(self._window) - self._at > _LONGEST_RECORD or not self._more():
                raise InputError(f"{self._path}: malformed JSON behind byte {self.place}: {fault}")

    def _advance(self, end: int) -> None:
        self.place += len(self._window[self._at:end].encode("utf-8", "surrogatepass"))
        self._at = end

    def _more(self) -> bool:
        """Read another block into the window; False at the end of the file."""
        block = self._file.read(_BLOCK)
        if not block:
            return False
        data = self._rest + block
        cut = _whole_characters(data)
        try:
            text = data[:cut].decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{self._path}: not UTF-8 text behind byte {self.place} ({error.reason})") from None
        self._window, self._at, self._rest = self._window[self._at:] + text, 0, data[cut:]
        return True


def _whole_characters(data: bytes) -> int:
    """Length of ``data`` without the beginning of a character at its end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return len(data)
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= needed else len(data) - back
    return len(data)
