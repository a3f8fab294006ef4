"""Which models FastChat's controller has, and whether their workers answer: exit code 0 where all NAMEs are served.

    python -m eval_agent.serve.status agent_model world_model --workers 1

Prints one line either way; 1 where some are not served (yet), 3 where there is no controller.
"""

import argparse
import sys

import requests

from eval_agent.errors import exit_on_input_error

_SECONDS = 5


def missing_models(controller: str, names: list[str], workers: int) -> list[str]:
    """Those of ``names`` that the controller lacks or whose workers do not answer yet.

    With several ``workers`` it must know as many. Raises requests.RequestException where no controller answers.
    """
    known = _post(f"{controller}/list_models")["models"]
    missing = [name for name in names if name not in known]
    addresses = set()
    for name in names:
        for _ in range(workers if name not in missing else 0):  # it names them by turns
            addresses.add(_post(f"{controller}/get_worker_address", model=name)["address"])
    if missing or len(addresses) < workers:
        return missing or names
    try:
        for address in addresses:  # a worker registers its models before it answers
            _post(f"{address}/worker_get_status")
    except requests.RequestException:
        return names
    return []


def _post(url: str, **body) -> dict:
    answer = requests.post(url, json=body, timeout=_SECONDS)
    answer.raise_for_status()
    return answer.json()


@exit_on_input_error
def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("names", nargs="+", metavar="NAME", help="served model names")
    parser.add_argument("--controller_address", default="http://localhost:21001")
    parser.add_argument("--workers", type=int, default=1, help="how many workers have to serve them (%(default)s)")
    args = parser.parse_args()
    try:
        missing = missing_models(args.controller_address, args.names, args.workers)
    except requests.RequestException:
        print(f"no controller answers at {args.controller_address}")
        return 3
    if missing:
        print(f"{args.controller_address} does not serve {', '.join(missing)}")
        return 1
    print(f"{args.controller_address} serves {', '.join(args.names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
