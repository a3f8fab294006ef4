"""Throughput of task knowledge synthesis with many requests in flight against one at a time (see the .sh).

    bash scripts/bench/knowledge.sh --latency 0.5 --concurrency 32
"""

import json
import multiprocessing
import tempfile
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.files import Journal
from eval_agent.knowledge.synthesis import add_knowledge, load_synthesizer

ANSWER = "Task Knowledge: When you search, you should look around. The action workflows are: 1) go 2) take"
TASK = "You are in the middle of a room. Looking quickly around you, you see a shelf {0}.\n" \
       "Your task is to: put some mug on shelf."


class Handler(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that answers the same after ``latency`` seconds."""

    protocol_version = "HTTP/1.1"

    def __init__(self, latency: float, *arguments):
        self.latency = latency
        super().__init__(*arguments)

    def do_GET(self):
        self._reply({"object": "list", "data": [{"id": "model", "object": "model"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.latency)
        message = {"role": "assistant", "content": ANSWER}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._reply({"id": "x", "object": "chat.completion", "created": 0, "model": "model", "choices": [choice]})

    def _reply(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def serve(latency: float, port: multiprocessing.SimpleQueue) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, latency))
    port.put(server.server_port)
    server.serve_forever()


def make_pair(number: int) -> dict:
    """A pair whose task is worded like no other's."""
    turns = [TASK.format(number), "Thought: I see it.\nAction: take mug 1 from shelf 1"]
    conversations = [{"from": who, "value": turn} for who, turn in zip(("human", "gpt"), turns)]
    trajectory = {"id": str(number), "conversations": conversations}
    return {"chosen": trajectory, "rejected": trajectory}


def answers_per_second(synthesizer, count: int, concurrency: int, folder: str) -> float:
    journal = Journal(Path(folder) / f"{concurrency}.jsonl")
    started = time.monotonic()
    pairs = [make_pair(number) for number in range(count)]
    result = add_knowledge(pairs, "task_knowledge", synthesizer, journal, "bench", concurrency)
    journal.close()
    assert result.made == count and not result.rejects
    return count / (time.monotonic() - started)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds for one answer")
    parser.add_argument("--concurrency", type=int, default=32, help="requests in flight")
    parser.add_argument("--rounds", type=int, default=20, help="answers one after another")
    args = parser.parse_args()
    port = multiprocessing.SimpleQueue()
    endpoint = multiprocessing.Process(target=serve, args=(args.latency, port), daemon=True)
    endpoint.start()
    synthesizer = load_synthesizer("alfworld", "model", f"http://127.0.0.1:{port.get()}/v1", None, 1, 60)
    with tempfile.TemporaryDirectory() as folder:
        answers_per_second(synthesizer, 1, 2, folder)  # what is imported and opened only once
        one = answers_per_second(synthesizer, args.rounds, 1, folder)
        many = answers_per_second(synthesizer, args.rounds * args.concurrency, args.concurrency, folder)
    print(f"one request at a time: {one:.2f} answers/s; {args.concurrency} in flight: {many:.2f} answers/s")
    print(json.dumps({
        "latency_s": args.latency, "answers_per_s_1": round(one, 3),
        f"answers_per_s_{args.concurrency}": round(many, 3), f"ratio_{args.concurrency}": round(many / one, 2),
    }))


if __name__ == "__main__":
    main()
