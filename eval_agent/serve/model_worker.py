"""FastChat's model worker with several LoRA adapters over one base, a prefix cache and candidate scoring.

    python -m eval_agent.serve.model_worker \\
        --model-path /path/peft/agent_model --model-names agent_model \\
        --model-path /path/peft/world_model --model-names world_model \\
        --port 21020

A name is published when it can be used: the port is held first, then the model loaded, each name asked once, and only
then the controller told. It is told again when the worker ends, by whatever end but kill -9.

Flags, HTTP routes and the protocol with the controller are FastChat's; added are POST
/worker_score_candidates and /worker_chat_format, a request's "seed", --prefix-cache-mb and --answer-cache.
"""

import argparse
import os
import signal
import sys
import tempfile

# FastChat writes model_worker_*.log into the working folder otherwise; the same lines go to stderr anyway
os.environ.setdefault("LOGDIR", "")
# before torch starts OpenMP: threads that spin while they wait make a token 5 times as slow where other
# processes (environments, a second worker) need the same cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tenacity
import torch
from fastchat.conversation import conv_templates
from fastchat.model.model_adapter import add_model_args

from eval_agent.agents.chat_templates import AUTO
from eval_agent.agents.replies import Models
from eval_agent.command_line import Parser, positive
from eval_agent.connection import ConnectionFault, ask, checked_address, is_loopback
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.serve.listening import listen, serving
from eval_agent.serve.loading import plan_models
from eval_agent.serve.registration import Registration, check_namesakes, check_own_address

# uvicorn's ssl_keyfile and ssl_certfile
_SSL_VARIABLES = ("SSL_KEYFILE", "SSL_CERTFILE")
_FOUND = {  # whether PyTorch finds a device of this kind
    "cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "xpu": torch.xpu.is_available,
    "npu": lambda: hasattr(torch, "npu") and torch.npu.is_available(), "cpu": lambda: True,
}


def build_parser() -> Parser:
    """FastChat's flags; --model-path and --model-names may be repeated, as in its multi_model_worker."""
    parser = Parser(__doc__, conflict_handler="resolve")
    titles = ("the models", "the address", "how it answers", "FastChat's flags for a base model")
    models, address, answers, others = (parser.add_argument_group(title) for title in titles)
    add_model_args(others)  # of which some are ours below
    add = models.add_argument
    add("--model-path", action="append", default=[],
        help="A LoRA adapter's folder or a base model; repeat it for more models over the same base.")
    add("--model-names", action="append", type=lambda names: names.split(","),
        help="Comma separated names, once after each --model-path. Default: the folders' names.")
    add("--base-model", help="Folder or hub name of the adapters' base. Default: what their adapter_config.json names.")
    add("--conv-template",
        help="FastChat's conversation template, or auto (the base's own chat template), of models whose training run left "
        "no run_settings.json.")
    add("--device", choices=_FOUND, help="Default: cuda where PyTorch finds a GPU, else cpu.")
    add("--num-gpus", type=int, default=1, help="GPUs that the base is spread over.")
    add = address.add_argument
    add("--host", default="localhost", help="Where to listen; 0.0.0.0 is every network of this machine.")
    add("--port", type=_port, default=21002, help="Where to listen.")
    add("--worker-address", help="Where the controller and its clients find this worker. Default: http://HOST:PORT.")
    add("--controller-address", default="http://localhost:21001", help="FastChat's controller.")
    add("--no-register", action="store_true", help="Tell no controller.")
    add("--ssl", action="store_true", help="Enable SSL; needs the variables SSL_KEYFILE and SSL_CERTFILE.")
    add = answers.add_argument
    add("--limit-worker-concurrency", type=positive, default=32, help="Requests at once; they share model passes.")
    add("--stream-interval", type=positive, default=2, help="Tokens between two parts of a streamed answer.")
    add("--prefix-cache-mb", type=_not_negative,
        help="Memory for states of prompts seen before. Default: a third of what is free once the models are loaded.")
    add("--answer-cache", type=_not_negative, default=0,
        help="So many answers are kept for requests that come again: greedy, with a seed, scores (about 1 kB each).")
    add("--seed", type=int, help="Overwrite the random seed for each generation.")
    add("--embed-in-truncate", action="store_true", help="Cut a long text before its embedding is made; else it is read in pieces.")
    add("--debug", type=bool, default=False, help="Print debugging messages")
    return parser


def _check_flags(args):
    if args.gpus and len(args.gpus.split(",")) < args.num_gpus:
        raise InputError(f"--num-gpus {args.num_gpus} is more than --gpus {args.gpus} lists")
    if args.gpus:  # before anything asks CUDA for its devices
        os.environ["CUDA_VISIBLE_DEVICES"] = args.gpus
    if args.enable_exllama or args.enable_xft:
        raise InputError("--enable-exllama and --enable-xft need fastchat.serve.model_worker")
    if args.conv_template and args.conv_template not in (AUTO, *conv_templates):
        known = ", ".join(sorted(conv_templates))
        raise InputError(f"--conv-template {args.conv_template}: FastChat knows only {known}; {AUTO} is the base's own")
    args.device = args.device or ("cuda" if _FOUND["cuda"]() else "cpu")
    if not _FOUND[args.device]():
        what = "GPU" if args.device == "cuda" else args.device
        raise InputError(f"--device {args.device}, but PyTorch finds no {what} here; use --device cpu")
    for name in _SSL_VARIABLES if args.ssl else ():
        if not os.access(os.environ.get(name, ""), os.R_OK):
            raise InputError(f"--ssl needs {' and '.join(_SSL_VARIABLES)} in the environment, files that can be read")


def _check_log_folder():
    folder = os.environ["LOGDIR"]
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"LOGDIR={folder}: no log file can be written there ({error.strerror})") from None


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**16:
        raise argparse.ArgumentTypeError("expected 1 to 65535")
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("expected 0 or more")
    return number


def worker_address(args: argparse.Namespace) -> str:
    """What the controller will give out. Raises InputError where that cannot lead to this worker.

    A port of its own is right behind a mapping (a container, a tunnel to another machine), never on loopback.
    """
    if args.worker_address is None:
        if not is_loopback(args.controller_address):
            raise InputError(
                f"--controller-address {args.controller_address} is not this machine's localhost: give "
                "--worker-address, the address at which it finds this worker (and --host)"
            )
        host = "localhost" if args.host in ("", "0.0.0.0", "::") else args.host
        return f"http{'s' * args.ssl}://{f'[{host}]' if ':' in host else host}:{args.port}"
    address = checked_address(args.worker_address, "--worker-address")
    if is_loopback(address) and address.rpartition(":")[2] != str(args.port):
        raise InputError(
            f"--worker-address {address} is on this machine, but --port is {args.port}: leave --worker-address out, or "
            "give it the same port"
        )
    return address


def wait_for_controller(address: str, seconds: float = 10) -> None:
    """A controller may be starting just now. Raises InputError where none answers."""
    retry = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(0.5),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, ConnectionFault) and error.unreachable),
        reraise=True,
    )
    try:
        retry(ask, f"{address}/list_models", {}, Models)
    except ConnectionFault as fault:
        start = "start `python -m fastchat.serve.controller`, or pass --no-register"
        raise InputError(f"no controller at {address} (--controller-address): {fault}; {start}") from None


def _end(number: int, frame) -> None:
    """A signal ends the worker as an exception does: what was opened is closed, the controller told."""
    signal.signal(number, signal.SIG_DFL)  # a second one does not wait
    sys.exit(128 + number)


@exit_on_input_error
def main() -> None:
    args = build_parser().parse_args()
    _check_flags(args)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _end)
    args.controller_address = checked_address(args.controller_address, "--controller-address")
    args.worker_address = worker_address(args)
    models = plan_models(args.model_path, args.model_names, args.base_model)
    sockets = listen(args.host, args.port)
    _check_log_folder()
    streams = sys.stdout, sys.stderr
    from eval_agent.serve.worker import AdapterWorker, app  # opens FastChat's log files

    sys.stdout, sys.stderr = streams  # FastChat makes them loggers
    if not args.no_register:
        wait_for_controller(args.controller_address)
    ssl = {name.lower(): os.environ[name] for name in _SSL_VARIABLES} if args.ssl else {}
    with serving(app, sockets, args.limit_worker_concurrency, **ssl) as gate:
        worker = AdapterWorker(args, models)
        worker.check_names()
        gate.open()
        if args.no_register:
            gate.wait()
        else:
            seen = check_own_address(args.worker_address, worker.worker_id)
            check_namesakes(args.controller_address, args.worker_address, worker.made_of)
            with Registration(args.controller_address, args.worker_address, worker, seen):
                gate.wait()
    raise InputError("the server ended by itself, see above")


if __name__ == "__main__":
    main()
