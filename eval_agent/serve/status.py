"""Which models FastChat's controller has, and whether their workers answer: exit code 0 where all NAMEs are served.

    python -m eval_agent.serve.status agent_model world_model --workers 1
    python -m eval_agent.serve.status agent_model world_model --api_base http://localhost:8000/v1   # vLLM and its like

Prints one line either way; 1 where some are not served (yet), 3 where nothing listens at the address, 2 where something
else answers there, or a proxy does.
"""

import sys

from eval_agent.agents.replies import Address, Listed, Models, WorkerStatus
from eval_agent.command_line import Parser, positive
from eval_agent.connection import ConnectionFault, ask, checked_address, look_up
from eval_agent.errors import InputError, exit_on_input_error


def missing_models(controller: str, names: list[str], workers: int) -> list[str]:
    """Those of ``names`` that the controller lacks or whose workers do not answer yet.

    With several ``workers`` it must know as many. Raises ConnectionFault where no controller answers.
    """
    known = ask(f"{controller}/list_models", {}, Models).models
    missing = [name for name in names if name not in known]
    addresses = set()
    for name in names:
        for _ in range(workers if name not in missing else 0):  # it names them by turns
            addresses.add(ask(f"{controller}/get_worker_address", {"model": name}, Address).address)
    if missing or len(addresses) < workers:
        return missing or names
    try:
        for address in addresses:  # a worker that was killed stays on its list for a while
            ask(f"{address}/worker_get_status", {}, WorkerStatus)
    except ConnectionFault:
        return names
    return []


def missing_at_endpoint(api_base: str, names: list[str]) -> list[str]:
    """Those of ``names`` that an OpenAI-compatible server does not list. Raises ConnectionFault where none answers."""
    known = {model.id for model in look_up(f"{api_base}/models", Listed).data}
    return [name for name in names if name not in known]


@exit_on_input_error
def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="served model names")
    parser.add_argument("--controller_address", default="http://localhost:21001", help="that is asked")
    parser.add_argument("--workers", type=positive, default=1, help="how many workers have to serve them")
    parser.add_argument("--api_base", help="an OpenAI-compatible server, in place of a controller")
    args = parser.parse_args()
    if args.api_base is None:
        kind, server = "controller", checked_address(args.controller_address, "--controller_address")
    else:
        kind, server = "server", checked_address(args.api_base, "--api_base", "http://localhost:8000/v1")
    try:
        if args.api_base is None:
            missing = missing_models(server, args.names, args.workers)
        else:
            missing = missing_at_endpoint(server, args.names)
    except ConnectionFault as fault:
        if not fault.refused:
            raise InputError(f"no {'FastChat controller' if kind == 'controller' else 'server'}: {fault}") from None
        print(f"no {kind} answers at {server}")
        return 3
    if missing:
        print(f"{server} does not serve {', '.join(missing)}")
        return 1
    print(f"{server} serves {', '.join(args.names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
