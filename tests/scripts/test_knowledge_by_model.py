"""scripts/knowledge_by_model.sh with the tiny base behind FastChat's OpenAI server."""

import os
import re
import subprocess
from pathlib import Path

from eval_agent.files import read_json, read_records, write_json
from tests.alfworld_pairs import make_pairs
from tests.conftest import SERVE_PORTS, free

ROOT = Path(__file__).resolve().parents[2]


def test_pairs_are_spread_over_the_file_and_answers_in_another_form_counted(tmp_path, serve_ports):
    pairs = [{**make_pairs()[number % 2], "number": number} for number in range(7)]
    write_json(tmp_path / "pairs.json", pairs)
    own = {"OUT": str(tmp_path), "TMPDIR": str(tmp_path), "DEVICE": "cpu", "OMP_NUM_THREADS": "1", "PAIRS": "3"}
    ran = subprocess.run(["bash", ROOT / "scripts" / "knowledge_by_model.sh"], env={**os.environ, **own},
                         capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert [pair["number"] for pair in read_json(tmp_path / "by_model" / "pairs.json")] == [0, 2, 4]
    rejects = read_records(tmp_path / "by_model" / "task_knowledge.json.rejects.jsonl")
    assert len(rejects) == 3 and all("The answer does not begin" in reject["reason"] for reject in rejects)
    assert re.search(r"task_knowledge of 0 of 3 pairs .*: 0 answers made now, 0 from before\n3 records stayed", ran.stdout)
    assert re.search(r"state_knowledge of 3 of 3 pairs .*: 21 answers made now, 0 from before\n", ran.stdout)
    assert all(map(free, SERVE_PORTS))
