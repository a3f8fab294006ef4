"""What becomes of every option that a user of transformers or of LLaMA-Factory may give: three classes, no option outside.

Honoured and part of a run's settings (CHANGE_WEIGHTS), honoured and not (CHANGE_NO_WEIGHTS), or refused by name, with the
reason (REFUSED; its default is no fault). One that no class has, of a version that came later, is part of the settings.
LLAMA_FACTORY has LLaMA-Factory's own ones. Knows both transformers 4.57's and 5's.
"""

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any

from transformers import SchedulerType, Trainer, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import get_available_reporting_integrations

from eval_agent.errors import InputError

CHANGE_WEIGHTS = frozenset(
    """learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_ratio warmup_steps optim optim_args adafactor weight_decay
    adam_beta1 adam_beta2 adam_epsilon max_grad_norm num_train_epochs max_steps per_device_train_batch_size
    gradient_accumulation_steps label_smoothing_factor neftune_noise_alpha seed data_seed full_determinism bf16 fp16 tf32
    resume_from_checkpoint""".split()
)
CHANGE_NO_WEIGHTS = frozenset(
    """output_dir overwrite_output_dir do_train logging_dir logging_strategy logging_steps logging_first_step log_level
    log_level_replica log_on_each_node save_strategy save_steps save_total_limit save_on_each_node save_safetensors
    restore_callback_states_from_checkpoint report_to run_name project trackio_space_id trackio_bucket_id
    trackio_static_space_id disable_tqdm debug skip_memory_metrics include_num_input_tokens_seen include_tokens_per_second
    torch_empty_cache_steps dataloader_num_workers dataloader_prefetch_factor dataloader_persistent_workers
    dataloader_multiprocessing_context dataloader_pin_memory gradient_checkpointing use_cpu no_cuda local_rank ddp_backend
    ddp_timeout ddp_bucket_cap_mb ddp_broadcast_buffers ddp_find_unused_parameters ddp_static_graph""".split()
)


def _all(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


REFUSED = {
    **_all("""do_eval do_predict eval_strategy eval_steps eval_delay eval_on_start eval_accumulation_steps
        eval_do_concat_batches eval_use_gather_object per_device_eval_batch_size per_gpu_eval_batch_size
        prediction_loss_only batch_eval_metrics include_for_metrics include_inputs_for_metrics bf16_full_eval
        fp16_full_eval jit_mode_eval past_index use_legacy_prediction_loop load_best_model_at_end
        metric_for_best_model greater_is_better label_names""",
        "nothing is evaluated while training; python -m eval_agent.eto_multi_main_probs plays with what was trained"),
    **_all("""push_to_hub push_to_hub_model_id push_to_hub_organization push_to_hub_token hub_model_id hub_strategy
        hub_token hub_private_repo hub_always_push hub_revision""",
        "nothing is uploaded; the output folder is a standard PEFT folder, hf upload takes it"),
    **_all("""group_by_length length_column_name train_sampling_strategy dataloader_drop_last dataloader_in_order
        auto_find_batch_size accelerator_config ignore_data_skip""",
        "seed, batch size and data alone say what a step holds, so that a killed run goes on as if it had not been"),
    **_all("torch_compile torch_compile_backend torch_compile_mode torchdynamo",
        "each row has another length, so the model would be compiled anew all the time"),
    **_all("use_liger_kernel liger_kernel_config",
        "the loss is this trainer's own, which makes logits only where there is loss"),
    **_all("""deepspeed fsdp fsdp_config fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap parallelism_config
        mp_parameters""",
        "accelerate launch --config_file configs/accelerate/fsdp_4gpu_config.yaml shards the base model"),
    **_all("activation_checkpointing activation_checkpointing_kwargs gradient_checkpointing_kwargs use_cache",
        "--gradient_checkpointing true or false is the choice there is"),
    **_all("remove_unused_columns", "the trainer reads more of an example than the model does"),
    **_all("average_tokens_across_devices", "every learnt token of a step counts alike"),
    **_all("logging_nan_inf_filter", "a loss that is no number ends the run"),
    **_all("save_only_model enable_jit_checkpoint", "a checkpoint is for going on from, with all that this takes"),
    **_all("optim_target_modules", "what is trained are the adapters of --lora_target"),
    **_all("per_gpu_train_batch_size", "it is --per_device_train_batch_size"),
    **_all("fp16_opt_level half_precision_backend fp16_backend", "--fp16 and --bf16 are PyTorch's own"),
    **_all("tpu_num_cores tpu_metrics_debug use_mps_device ray_scope", "it is made for CPUs and CUDA GPUs"),
}

_ELSEWHERE = {
    "flash_attn": "FlashAttention 2 is taken where it is installed, on a GPU and in half precision",
    "enable_liger_kernel": REFUSED["use_liger_kernel"],
    "val_size": REFUSED["eval_strategy"],
    "eval_dataset": REFUSED["eval_strategy"],
    "evaluation_strategy": REFUSED["eval_strategy"],
    "predict_with_generate": REFUSED["eval_strategy"],
    "compute_accuracy": REFUSED["eval_strategy"],
    "disable_gradient_checkpointing": "it is --gradient_checkpointing false",
    "quantization_bit": "the base model is loaded in --bf16, --fp16 or float32",
    "trust_remote_code": "no code that a model brings along is run",
    "dpo_beta": "it is --pref_beta",
    "checkpoint_dir": "it is --adapter_name_or_path",
    "max_source_length": "it is --cutoff_len",
    "max_target_length": "it is --cutoff_len",
    "default_system": 'a record\'s own system text is used: "columns": {"system": ...} in dataset_info.json',
    "tokenized_path": "tokenised data is kept in $XDG_CACHE_HOME/wkm",
    "cache_dir": "$HF_HOME says where models are kept",
    "hf_hub_token": "$HF_TOKEN holds it",
    "mask_history": 'a gpt turn with "loss": false is not learnt',
    "split_special_tokens": "special tokens in a text are read as such",
    "use_fast_tokenizer": "the fast tokenizer always is",
}
LLAMA_FACTORY = dict.fromkeys(
    """adapter_folder resize_vocab add_tokens add_special_tokens new_special_tokens_config init_special_tokens
    model_revision low_cpu_mem_usage rope_scaling shift_attn mixture_of_depths use_unsloth use_unsloth_gc
    moe_aux_loss_coef use_reentrant_gc upcast_layernorm upcast_lmhead_output train_from_scratch infer_backend
    offload_folder use_kv_cache use_v1_kernels infer_dtype ms_hub_token om_hub_token print_param_status
    quantization_method quantization_type double_quantization quantization_device_map fp8 fp8_backend
    image_max_pixels image_min_pixels video_max_pixels video_min_pixels video_fps video_maxlen export_size
    export_device export_quantization_bit export_quantization_dataset export_quantization_nsamples
    export_quantization_maxlen export_legacy_format export_hub_model_id vllm_maxlen vllm_gpu_util vllm_enforce_eager
    vllm_max_lora_rank vllm_config media_dir streaming buffer_size mix_strategy interleave_probs
    preprocessing_batch_size eval_num_beams ignore_pad_token_for_loss eval_on_each_dataset tool_format
    reserved_label_len split freeze_trainable_layers freeze_trainable_modules freeze_extra_modules
    additional_target loraplus_lr_ratio loraplus_lr_embedding use_rslora use_dora pissa_init pissa_iter pissa_convert
    create_new_adapter module_dropout oft_rank oft_block_size oft_target pref_ftx pref_bco_weight pref_loss
    dpo_label_smoothing dpo_loss dpo_ftx kto_chosen_weight kto_rejected_weight simpo_gamma ppo_buffer_size ppo_epochs
    ppo_score_norm ppo_target ppo_whiten_rewards ppo_logger ref_model ref_model_adapters ref_model_quantization_bit
    reward_model reward_model_adapters reward_model_quantization_bit reward_model_type ld_alpha use_galore
    galore_target galore_rank galore_update_interval galore_scale galore_proj_type galore_layerwise use_apollo
    apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type
    apollo_layerwise apollo_scale_front use_badam badam_mode badam_start_block badam_switch_mode
    badam_switch_interval badam_update_ratio badam_mask_mode badam_verbose use_swanlab swanlab_project
    swanlab_workspace swanlab_run_name swanlab_mode swanlab_api_key swanlab_logdir pure_bf16 use_llama_pro
    use_adam_mini use_mca use_muon use_dft_loss freeze_vision_tower freeze_multi_modal_projector freeze_language_model
    disable_shuffling early_stopping_steps include_effective_tokens_per_second do_sample temperature top_p top_k
    num_beams max_length max_new_tokens repetition_penalty length_penalty skip_special_tokens
    neftune_alpha sft_packing lora_modules name_module_trainable num_layer_trainable num_hidden_layers upload_name
    use_ray ray_run_name ray_storage_path ray_num_workers resources_per_worker placement_strategy
    max_prompt_length remove_unused_column""".split(),
    "",
) | _ELSEWHERE


def plain(value: Any) -> Any:
    """An argument as JSON has it; what is empty is unset."""
    value = value.value if isinstance(value, Enum) else value
    return None if value in ("", [], {}) else value


def default_of(option: Field) -> Any:
    factory = option.default_factory
    return plain(option.default if factory is MISSING else factory())


def refuse(args: TrainingArguments) -> None:
    """Raise InputError for the first of REFUSED that has another value than its default. Before any value is changed."""
    for option in fields(args):
        if option.init and option.name in REFUSED and plain(getattr(args, option.name)) != default_of(option):
            raise InputError(f"--{option.name} is not offered here: {REFUSED[option.name]}")


def not_offered(name: str) -> str | None:
    """The sentence for ``name`` where it is an option of LLaMA-Factory's alone, else None."""
    reason = LLAMA_FACTORY.get(name)
    if reason is None:
        return None
    return f"--{name} is a LLaMA-Factory option that is not offered here" + (f": {reason}" if reason else "")


def weight_settings(args: TrainingArguments, always: Iterable[str]) -> dict[str, Any]:
    """Of what changes weights the values ``always`` and those that are not their defaults."""
    values = {name: plain(getattr(args, name)) for name in always}
    for option in fields(args):
        known = option.name in CHANGE_NO_WEIGHTS or option.name in REFUSED or option.name == "resume_from_checkpoint"
        value = plain(getattr(args, option.name, None)) if option.init else None
        if option.init and not known and option.name not in values and value != default_of(option):
            values[option.name] = value
    return values


def check_reporting(args: TrainingArguments) -> None:
    """Raise InputError where what --report_to names is not installed."""
    names = [args.report_to] if isinstance(args.report_to, str) else args.report_to
    missing = [name for name in names if name not in ("none", "all", *get_available_reporting_integrations())]
    if missing:
        raise InputError(f"--report_to {missing[0]}: no such package is installed here")


def check_optimizer(args: TrainingArguments) -> None:
    """Raise InputError, before the long work, where optimiser or schedule could not be made or would ignore an option."""
    try:
        _, made = Trainer.get_optimizer_cls_and_kwargs(args)
        _schedule(args, {})
    except (ValueError, ImportError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"--optim {plain(args.optim)}, --lr_scheduler_type {plain(args.lr_scheduler_type)}: "
                         f"{str(error).strip().partition(chr(10))[0]}") from None
    for name in ("optim_args", "adam_beta1", "adam_beta2", "adam_epsilon"):
        given = getattr(args, name)
        unset = next(default_of(option) for option in fields(args) if option.name == name)
        if plain(given) == unset:
            continue
        setattr(args, name, unset)
        _, without = Trainer.get_optimizer_cls_and_kwargs(args)
        setattr(args, name, given)
        if repr(without) == repr(made):
            raise InputError(f"--{name} has no meaning for --optim {plain(args.optim)}")
    if args.lr_scheduler_kwargs and _takes_anything(args):
        raise InputError(f"--lr_scheduler_kwargs has no meaning for --lr_scheduler_type {plain(args.lr_scheduler_type)}")


def _schedule(args: TrainingArguments, more: dict) -> None:
    import torch

    if plain(args.lr_scheduler_type) in ("reduce_lr_on_plateau", "greedy"):
        raise ValueError(REFUSED["eval_strategy"])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    get_scheduler(SchedulerType(args.lr_scheduler_type), optimizer, 1, 10, {**(args.lr_scheduler_kwargs or {}), **more})


def _takes_anything(args: TrainingArguments) -> bool:
    try:
        _schedule(args, {"no_schedule_has_this": 1})
    except (TypeError, ValueError):
        return False
    return True
