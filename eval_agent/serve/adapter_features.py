"""Which kinds of LoRA adapter one engine can hold side by side: each then answers as under PEFT alone.

What is not known here is refused: an adapter of a newer PEFT may hold a feature that would be left out in silence.
"""

from eval_agent.errors import InputError

# they say what training did, or are applied by PEFT's own layers, one adapter at a time
_SERVED = set(
    "alpha_pattern auto_mapping base_model_name_or_path bias corda_config ensure_weight_tying eva_config "
    "exclude_modules fan_in_fan_out inference_mode init_lora_weights layers_pattern layers_to_transform loftq_config "
    "lora_alpha lora_bias lora_dropout megatron_core modules_to_save peft_type peft_version qalora_group_size r "
    "rank_pattern revision "
    "runtime_config target_modules task_type trainable_token_indices use_dora use_rslora".split()
)
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")  # at loading, the weights that the other models share
_MERGE = "merge it into its base (train/train_bash.py --adapter_name_or_path ... --export_dir ...) and serve that"


def check_features(adapters: dict[str, dict], alone: bool) -> None:
    """``adapters``: adapter_config.json by folder. ``alone``: there is one model only, which may change the base.

    Raises InputError naming adapter, feature and a way out.
    """
    for folder, config in adapters.items():
        for field, value in config.items():
            if field not in _SERVED and value:
                raise InputError(f'{folder}: an adapter with "{field}" ({value!r}) cannot be served here; {_MERGE}')
        if not alone and (feature := _of_the_base(config)):
            raise InputError(
                f"{folder}: {feature} changes the base that the other models share; serve it in a worker of its own, "
                f"or {_MERGE}"
            )


def _of_the_base(config: dict) -> str | None:
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        return f'"init_lora_weights": "{start}"'
    bias = config.get("bias", "none")
    return None if bias == "none" else f'"bias": "{bias}"'
