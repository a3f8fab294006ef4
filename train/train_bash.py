"""LoRA SFT of one model with LLaMA-Factory's flags.

    accelerate launch --config_file configs/accelerate/single_config.yaml train/train_bash.py \\
        configs/train/lora_sft.json --model_name_or_path mistralai/Mistral-7B-Instruct-v0.2 \\
        --template mistral --dataset alfworld_agent_model --output_dir outputs/peft/agent_model

A JSON recipe may come first; flags count more than it. Started again without --overwrite_output_dir, an
unfinished run goes on from its last checkpoint and a finished one is left alone.
"""

import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, from the repository root

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    set_seed,
)

from eval_agent.errors import InputError, exit_on_input_error  # noqa: E402
from train.arguments import DataArguments, ModelArguments, SftArguments, parse_arguments, warn  # noqa: E402
from train.chat_templates import get_template  # noqa: E402
from train.loss_log import LossLog, plot_loss  # noqa: E402
from train.run_folder import is_finished, last_checkpoint, open_run  # noqa: E402
from train.sft_data import EncodingReport, dataset_files, encode_conversations, read_conversations  # noqa: E402
from train.sft_trainer import SftTrainer, pad_batch  # noqa: E402


@exit_on_input_error
def main() -> None:
    model_args, data_args, args = parse_arguments(sys.argv[1:])
    use_all_cores(args)
    template = get_template(model_args.template)
    files = dataset_files(data_args.dataset, data_args.dataset_dir)
    conversations = read_conversations(files, data_args.max_samples)
    folder, first = Path(args.output_dir), args.process_index == 0
    with args.main_process_first():
        resume_from = args.resume_from_checkpoint
        overwrite = args.overwrite_output_dir and first and not resume_from
        open_run(folder, run_settings(model_args, data_args, args, files), overwrite)
    if is_finished(folder):
        print(f"{folder}: already trained like this, nothing to do (--overwrite_output_dir trains anew)")
        return

    tokenizer, cutoff_len = load_tokenizer(model_args.model_name_or_path, data_args.cutoff_len)
    examples, report = encode_conversations(
        conversations, tokenizer, template, cutoff_len, data_args.train_on_prompt
    )
    if first:
        print(f"Data: {report}")
    trainer = SftTrainer(
        model=load_lora_model(model_args, args),
        args=args,
        train_dataset=examples,
        processing_class=tokenizer,
        data_collator=pad_batch,
        callbacks=[LossLog(folder)],
    )
    result = trainer.train(resume_from_checkpoint=resume_from or last_checkpoint(folder))
    save(trainer, result.metrics, report)


def run_settings(
    model_args: ModelArguments, data_args: DataArguments, args: SftArguments, files: list[Path]
) -> dict:
    """All that decides what a run learns: two runs with the same settings are the same run."""
    names = (
        "seed learning_rate lr_scheduler_type warmup_ratio warmup_steps weight_decay max_grad_norm optim "
        "num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps world_size "
        "group_by_length fp16 bf16"
    ).split()
    settings = {**vars(model_args), **vars(data_args), **{name: getattr(args, name) for name in names}}
    del settings["dataset"], settings["dataset_dir"]  # their content counts, not their names
    settings["data_sha256"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return settings


def use_all_cores(args: SftArguments) -> None:
    """Undo the one thread that ``accelerate launch`` prescribes where its only process trains on the CPU."""
    launched_alone = "ACCELERATE_USE_CPU" in os.environ  # accelerate sets it for a single process only
    if launched_alone and args.device.type == "cpu" and os.environ.get("OMP_NUM_THREADS") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(cores)


def load_tokenizer(model: str, cutoff_len: int) -> tuple[PreTrainedTokenizerBase, int]:
    """The base model's tokenizer, and ``cutoff_len`` lowered to the context that the model was made for."""
    try:
        context = AutoConfig.from_pretrained(model).max_position_embeddings
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise InputError(f'--model_name_or_path "{model}": {str(error).splitlines()[0]}') from None
    if context < cutoff_len:
        warn(f"the model's context is {context} tokens: --cutoff_len {cutoff_len} becomes {context}")
    return tokenizer, min(context, cutoff_len)


def load_lora_model(model_args: ModelArguments, args: SftArguments) -> PeftModel:
    """The frozen base model in the training's precision, with new float32 LoRA adapters on it.

    A base model in a local folder is remembered by its absolute path, so that the adapter can be served
    from any working directory.
    """
    base = model_args.model_name_or_path
    if Path(base).is_dir():
        base = str(Path(base).resolve())
        if "peft" in base:
            warn(f'"{base}" has "peft" in it: the unmodified FastChat worker refuses such a base model')
    dtype = torch.float16 if args.fp16 else torch.bfloat16 if args.bf16 else torch.float32
    set_seed(args.seed)
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    except (OSError, ValueError) as error:
        raise InputError(f'--model_name_or_path "{base}": {str(error).splitlines()[0]}') from None
    model.config.use_cache = False
    target = model_args.lora_target
    config = LoraConfig(
        r=model_args.lora_rank,
        lora_alpha=model_args.lora_alpha,
        lora_dropout=model_args.lora_dropout,
        target_modules="all-linear" if target == "all" else [name.strip() for name in target.split(",")],
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f'--lora_target "{target}": {error}') from None


def save(trainer: SftTrainer, metrics: dict, report: EncodingReport) -> None:
    """Write adapter, tokenizer, state and plot, and last the results that mark the run as finished."""
    args = trainer.args
    trainer.save_model()
    trainer.save_state()
    if not trainer.is_world_process_zero():
        return
    folder = Path(args.output_dir)
    if args.plot_loss:
        plot_loss(trainer.state.log_history, f"LoRA SFT of {folder.name}", folder / "training_loss.png")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if losses:  # the Trainer's own mean leaves out what was trained before a resumption
        metrics["train_loss"] = sum(losses) / len(losses)
    metrics.update(steps=trainer.state.global_step, **vars(report))
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics)
    print(f"Trained {metrics['steps']} steps, loss {metrics['train_loss']:.4f}: adapter and logs in {folder}")


if __name__ == "__main__":
    main()
