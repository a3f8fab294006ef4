"""Building a store: what is kept, going on after a kill, several processes, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from eval_agent.errors import InputError
from eval_agent.webshop import build
from eval_agent.webshop.build import build_store
from eval_agent.webshop.store import Shop
from tests.eval_agent.small_shop import ATTRIBUTES, PRODUCTS, record, write_shop

MANY = [record(f"B{n:09d}"[::-1], f"Mug number {n} with {'dots' if n % 3 else 'stripes'}") for n in range(53)]
BUILD = """
import sys
from eval_agent.webshop import build
build.PART_SIZE = 10
if __name__ == "__main__":
    build.build_store(sys.argv[1], None, sys.argv[2], "rule", num_workers=1)
"""


def arrays(folder):
    """What an index holds, by file."""
    return {file.name: np.load(file).tolist() for file in (folder / "index").glob("*.npy")}


def test_records_that_are_no_products_are_left_out(small_shop):
    assert small_shop.shop.meta["n_products"] == 4 and small_shop.shop.meta["skipped"] == 3
    asins = [product.asin for product in small_shop.shop.products()]
    assert asins == ["B00MUG0001", "B00MUG0002", "B00TEA0003", "B00LAMP004"]
    assert small_shop.shop.product("B00MUG0001").title == "Stoneware Coffee Mug"
    assert "B00TOOLONG1" not in small_shop.shop and "" not in small_shop.shop
    with pytest.raises(KeyError):
        small_shop.shop.product("B00TOOLONG1")


def test_the_second_build_finds_the_first(tmp_path):
    files = write_shop(tmp_path)
    first = build_store(*files, tmp_path / "store", "rule")
    written = (tmp_path / "store/meta.json").stat().st_mtime_ns
    assert build_store(*files, tmp_path / "store", "rule") == first
    assert (tmp_path / "store/meta.json").stat().st_mtime_ns == written


def test_parts_and_processes_do_not_change_the_index(tmp_path, monkeypatch):
    products, _ = write_shop(tmp_path, MANY)
    build_store(products, None, tmp_path / "one", "rule")
    monkeypatch.setattr(build, "PART_SIZE", 10)
    monkeypatch.setattr(build, "_BLOCK", 16)
    build_store(products, None, tmp_path / "six", "rule", num_workers=2)
    one, six = arrays(tmp_path / "one"), arrays(tmp_path / "six")
    assert set(six.pop("parts.npy")) == set(range(6)) and set(one.pop("parts.npy")) == {0}
    one.pop("starts.npy"), six.pop("starts.npy")
    assert one == six
    for folder in ("one", "six"):
        shop = Shop.open(tmp_path / folder)
        assert [product.title for product in shop.products()] == [product["name"] for product in MANY]
        assert shop.search("dots 7")[0] == MANY[7]["asin"]


def test_a_killed_build_goes_on_behind_its_last_part(tmp_path, monkeypatch):
    products, _ = write_shop(tmp_path, MANY)
    script, store = tmp_path / "build_it.py", tmp_path / "store"
    script.write_text(BUILD)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    child = subprocess.Popen([sys.executable, str(script), str(products), str(store)], env=environment,
                             stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 60
    while not (store / "parts/00001.npz").is_file() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    finished = {file.name: file.stat().st_mtime_ns for file in (store / "parts").glob("*.jsonl")
                if file.with_suffix(".npz").is_file() and (store / "building.json").is_file()}
    monkeypatch.setattr(build, "PART_SIZE", 10)
    build_store(products, None, store, "rule", num_workers=1)
    assert {name: (store / "parts" / name).stat().st_mtime_ns for name in finished} == finished
    assert [product.title for product in Shop.open(store).products()] == [product["name"] for product in MANY]
    build_store(products, None, tmp_path / "whole", "rule", num_workers=1)
    assert arrays(store) == arrays(tmp_path / "whole")


def test_parts_of_another_product_file_are_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "PART_SIZE", 10)
    products, _ = write_shop(tmp_path, MANY)
    monkeypatch.setattr(build, "_merge", lambda folder: 1 / 0)  # stops after the parts
    with pytest.raises(ZeroDivisionError):
        build_store(products, None, tmp_path / "store", "rule", num_workers=1)
    monkeypatch.undo()
    write_shop(tmp_path, PRODUCTS)
    assert build_store(products, None, tmp_path / "store", "rule")["n_products"] == 4
    assert len(Shop.open(tmp_path / "store")) == 4


def test_a_store_of_another_product_file_is_refused(tmp_path):
    products, attributes = write_shop(tmp_path)
    build_store(products, attributes, tmp_path / "store", "rule")
    write_shop(tmp_path, MANY)
    with pytest.raises(InputError, match="store: built with products [0-9a-f]{64}, but [0-9a-f]{64} is asked for"):
        build_store(products, attributes, tmp_path / "store", "rule")
    with pytest.raises(InputError, match=r"empty: no built shop \(build it with"):
        Shop.open(tmp_path / "empty")


@pytest.mark.parametrize("products, message", [
    ([{"name": "no id"}], 'record 0: field "asin" is missing'),
    ([*PRODUCTS, ["no object"]], 'record 7: field "asin" is missing'),
    ([record("B1", "x"), {"asin": "B2", "name": "y"}], 'product B2: field "full_description" is missing'),
    ([record("B1", "x", small_description=["a", 1])], 'product B1: field "small_description"'),
    ([], "no products in it"),
    ({"B1": record("B1", "x")}, "expected a JSON array of products"),
])
def test_a_file_that_is_no_product_file_is_refused(tmp_path, products, message):
    path = tmp_path / "products.json"
    path.write_text(json.dumps(products))
    with pytest.raises(InputError, match=message):
        build_store(path, None, tmp_path / "store", "rule")
    assert not (tmp_path / "store/meta.json").exists()


def test_a_missing_file_names_the_command_that_fetches_it(tmp_path):
    with pytest.raises(InputError, match="nowhere.json: no such file .*download_data.sh webshop"):
        build_store(tmp_path / "nowhere.json", None, tmp_path / "store")


def test_too_little_space_is_told_before_anything_is_built(tmp_path, monkeypatch):
    products, attributes = write_shop(tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    with pytest.raises(InputError, match="no space: it takes about 0.0 GB, 0.0 GB are free"):
        build_store(products, attributes, tmp_path / "store", "rule")
    assert not (tmp_path / "store/parts").exists()


def test_a_disk_that_fills_up_is_one_line(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    products, attributes = write_shop(tmp_path)
    parts = tmp_path / "store/parts"
    parts.mkdir(parents=True)
    (tmp_path / "store/.building.json").touch()
    (tmp_path / "store/attributes.sqlite").touch()
    build.write_json(tmp_path / "store/building.json", {
        **build.source_of(products, attributes, "rule"), "part_size": build.PART_SIZE})
    (parts / ".00000.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match="store: no space left; free some and run it again"):
        build_store(products, attributes, tmp_path / "store", "rule")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    products, _ = write_shop(tmp_path)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/store"):
        with pytest.raises(InputError, match=f"{folder}: cannot be written; set XDG_CACHE_HOME"):
            build_store(products, None, folder, "rule")


def test_nouns_may_stand_in_the_product_file(tmp_path):
    products, _ = write_shop(tmp_path, [record("B1", "Red Mug", nouns=["mug"])])
    build_store(products, None, tmp_path / "store", "file")
    assert Shop.open(tmp_path / "store").product("B1").nouns == ["mug"]
    write_shop(tmp_path, [record("B1", "Red Mug")])
    with pytest.raises(InputError, match='product B1: field "nouns" is missing'):
        build_store(products, None, tmp_path / "other", "file")


def test_attributes_come_from_their_own_file(small_shop):
    assert small_shop.shop.product("B00MUG0002").attributes == ATTRIBUTES["B00MUG0002"]["attributes"]
    assert small_shop.shop.product("B00TEA0003").attributes == []
