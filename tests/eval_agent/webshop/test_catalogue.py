"""From raw records to products, and the reader that holds one record at a time."""

import gzip
import json
import lzma

import pytest

from eval_agent.errors import InputError
from eval_agent.webshop import catalogue
from eval_agent.webshop.catalogue import Product, is_product, options_of, prices_of, raw_attributes, raw_records
from tests.eval_agent.small_shop import ATTRIBUTES, PRODUCTS, record, values


def test_a_product_is_what_pages_show():
    mug = Product.of(PRODUCTS[0], ATTRIBUTES["B00MUG0001"], "here")
    assert (mug.tag, mug.prices, mug.query) == ("$10.0 to $20.0", [10.0, 20.0], "coffee mugs")
    assert mug.options == {"color": ["dark red", "blue | white"], "size": ["12 oz"]}
    assert mug.text == (
        "stoneware coffee mug a mug for coffee.\nholds 12 oz. dishwasher safe "
        "color: dark red, blue | white, and size: 12 oz"
    )
    assert Product.of(PRODUCTS[1], None, "here").bullets == ["lead free, non slip"]
    assert Product.of(PRODUCTS[1], None, "here").attributes == ["DUMMY_ATTR"]


@pytest.mark.parametrize("pricing, prices", [
    ("", [100.0]), (None, [100.0]), ("$27", [27.0]), ("$1,099.90", [1099.9]), ("$5.00$9.99$12", [5.0, 9.99]),
    ("from $3.5 to $4", [3.5, 4.0]),
])
def test_prices(pricing, prices):
    assert prices_of(pricing, "here") == prices


@pytest.mark.parametrize("pricing", ["12", "$", "$1.2.3", 12])
def test_a_price_that_is_none_is_named(pricing):
    with pytest.raises(InputError, match='product X: field "pricing" is .* expected prices like'):
        prices_of(pricing, "product X")


def test_a_slash_in_an_option_keeps_the_blanks_around_it():
    assert options_of({"Size ": values("a / b", " A/B ")}, "here") == {"size ": ["a  |  b", "a | b"]}
    with pytest.raises(InputError, match='field "customization_options"'):
        options_of({"Size": ["no object"]}, "product X")


@pytest.mark.parametrize("asin, kept", [("B00MUG0001", True), ("nan", False), ("B00MUG00011", False), (None, False)])
def test_which_records_are_products(asin, kept):
    assert is_product(asin) is kept


@pytest.mark.parametrize("field", catalogue.FIELDS)
def test_a_missing_field_is_named(field):
    fields = {name: value for name, value in record("B1", "Mug").items() if name != field}
    if field in ("pricing", "customization_options"):  # many published records have none
        assert Product.of(fields, None, "product B1").tag in ("$100.0", "$12.5")
        return
    if field == "asin":
        fields["asin"] = None
    with pytest.raises(InputError, match=f'product B1: field "{field}" is (missing|None), expected a text'):
        Product.of(fields, None, "product B1")


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 1 << 20])
def test_records_are_read_in_blocks_of_any_size(tmp_path, monkeypatch, block):
    monkeypatch.setattr(catalogue, "_BLOCK", block)
    products = [record("B1", "Caf\u00e9 \u2603 \U0001f600 mug"), record("B2", 'a "]" \\ b'), record("B3", "x")]
    path = tmp_path / "products.json"
    path.write_text(json.dumps(products, ensure_ascii=False, indent=1), encoding="utf-8")
    read = list(raw_records(path))
    assert [entry.value for entry in read] == products
    for number, entry in enumerate(read):  # a killed build goes on behind any of them
        assert [later.value for later in raw_records(path, entry.end)] == products[number + 1:]


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_packed_files_are_read(tmp_path, pack):
    path = tmp_path / f"products.json.{'xz' if pack is lzma.compress else 'gz'}"
    path.write_bytes(pack(json.dumps(PRODUCTS).encode()))
    assert [entry.value["asin"] for entry in raw_records(path)] == [product["asin"] for product in PRODUCTS]


def test_attributes_are_read_one_by_one(tmp_path):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps(ATTRIBUTES, indent=1))
    assert dict(raw_attributes(path)) == ATTRIBUTES
    path.write_text('{"B1": ["no object"]}')
    with pytest.raises(InputError, match="entry 'B1' is .*expected an object"):
        list(raw_attributes(path))


@pytest.mark.parametrize("text, message", [
    ("", "ends at byte 0"),
    ("{}", 'found "{" at byte 0, expected a JSON array of products'),
    ('[{"asin": "B1"}, {"asin": ', "malformed JSON behind byte 17"),
    ('[{"asin": "B1"}', "ends at byte 15"),
    ('[{"asin": "B1"} x]', "malformed JSON behind byte 16"),
    ("[\xff]", "not UTF-8 text behind byte 0"),
])
def test_a_file_that_is_no_array_is_named_with_the_place(tmp_path, text, message):
    path = tmp_path / "products.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"products.json: {message}"):
        list(raw_records(path))
