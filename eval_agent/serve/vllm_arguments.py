"""What vLLM's server is started with to serve models as our worker does: a line for each argument.

    python -m eval_agent.serve.vllm_arguments --recipe configs/train/mistral.json --device cpu \\
        --model-path lora/peft_agent_model --model-names agent_model \\
        --model-path lora/peft_world_model --model-names world_model

All models are adapters over one base, or the base itself, checked as our worker checks them. The chat format has to be
the recipe's, which is where clients of such a server take it from.
"""

import json
import sys

from transformers import AutoConfig

from eval_agent.agents.chat_format import agree, format_of_recipe
from eval_agent.command_line import Parser
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.model_folder import adapter_config
from eval_agent.serve.loading import ServedModel, context_length, plan_models

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for
_NOT_SERVED = ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias")  # by vLLM 0.32
_CPU_CACHE = 2 << 30  # bytes of key-value states; vLLM would take most of the memory


def vllm_arguments(models: list[ServedModel], device: str) -> list[str]:
    """Raises InputError for an adapter that vLLM cannot serve."""
    base = models[0].base
    length = context_length(AutoConfig.from_pretrained(base))
    plain = [name for model in models if not model.is_adapter for name in model.names]
    arguments = ["--model", base, "--served-model-name", *(plain or ["base"]), "--max-model-len", str(length)]
    # else the model's own generation_config.json changes what clients ask for
    arguments += ["--generation-config", "vllm"]
    adapters = {name: model.path for model in models if model.is_adapter for name in model.names}
    if adapters:
        rank = max(map(_rank, adapters.values()))
        arguments += ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(len(adapters)), "--lora-modules"]
        arguments += [json.dumps({"name": name, "path": path}) for name, path in adapters.items()]
    if device == "cpu":
        arguments += ["--dtype", "float32", "--kv-cache-memory-bytes", str(_CPU_CACHE), "--max-num-seqs", "32"]
    return arguments


def check_formats(models: list[ServedModel], recipe: str) -> None:
    """Raise InputError where a training run of ours wrote a model in another chat format than the recipe's."""
    expected = format_of_recipe(recipe)
    for model in models:
        if model.chat_format:
            agree(model.path, model.chat_format, expected)


def _rank(folder: str) -> int:
    """The room that an adapter needs. Raises InputError where vLLM has none, or would leave something of it out."""
    config = adapter_config(folder)
    feature = next((name for name in _NOT_SERVED if config.get(name)), None)
    if feature or config.get("bias", "none") != "none":
        raise InputError(
            f'{folder}: vLLM serves no adapter with "{feature or "bias"}"; leave ENGINE=vllm out, or merge it into its base '
            "(train/train_bash.py --adapter_name_or_path ... --export_dir ...)"
        )
    rank = max(config["r"], *(config.get("rank_pattern") or {}).values(), 1)
    if rank > _RANKS[-1]:
        raise InputError(f'{folder}: field "r" is {rank}, and vLLM serves ranks up to {_RANKS[-1]}')
    return next(room for room in _RANKS if room >= rank)


@exit_on_input_error
def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--recipe", required=True, help="the training recipe that clients take the chat format from")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model-path", action="append", required=True, help="an adapter's folder, or the base; repeated")
    parser.add_argument("--model-names", action="append", required=True, help="the served name of each")
    args = parser.parse_args()
    models = plan_models(args.model_path, [[name] for name in args.model_names])
    check_formats(models, args.recipe)
    print("\n".join(vllm_arguments(models, args.device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
