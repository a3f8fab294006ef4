"""LoRA SFT (or ETO's DPO) of one model with LLaMA-Factory's flags.

    accelerate launch --config_file configs/accelerate/single_config.yaml train/train_bash.py \\
        configs/train/mistral.json --dataset alfworld_agent_model --output_dir outputs/peft/agent_model

JSON recipes may come first, also with what must be given; what comes later counts more. Started again without --overwrite_output_dir, an
unfinished run goes on from its last checkpoint and a finished one is left alone. An adapter is merged into
its base by

    python train/train_bash.py --adapter_name_or_path outputs/peft/agent_model --export_dir outputs/merged
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, from the repository root

import torch  # noqa: E402
from transformers import ProgressCallback, Trainer  # noqa: E402

from eval_agent.agents.chat_format import OWN_SHA256  # noqa: E402
from eval_agent.agents.chat_templates import AUTO, ChatTemplate, OwnTemplate, get_template  # noqa: E402
from eval_agent.agents.own_template import own_template, written_otherwise  # noqa: E402
from eval_agent.errors import InputError, exit_on_input_error, sentence, warn  # noqa: E402
from eval_agent.files import Lock, check_output_folder, file_digest  # noqa: E402
from train.arguments import DataArguments, ModelArguments, SftArguments, parse_arguments  # noqa: E402
from train.base_model import load_lora_model, load_tokenizer, merge_adapter, within_context  # noqa: E402
from train.data import Conversation, DataSet, Pair, data_sets, read_conversations, read_pairs  # noqa: E402
from train.encoding import EncodingReport, encode_pairs, served_otherwise  # noqa: E402
from train.log import LossLog, Progress, plot_loss  # noqa: E402
from train.options import check_optimizer, check_reporting, weight_settings  # noqa: E402
from train.run_folder import (  # noqa: E402
    checkpoint_to_resume,
    is_finished,
    last_checkpoint,
    open_run,
    write_card,
    writing,
)
from train.token_cache import encode_conversations  # noqa: E402
from train.trainers import SftTrainer  # noqa: E402


@exit_on_input_error
def main() -> None:
    model_args, data_args, args = parse_arguments(sys.argv[1:], __doc__)
    if not args.do_train:
        check_output_folder(args.export_dir)
        with Lock(args.export_dir, "wait until it has ended, or choose another --export_dir"), writing(args.export_dir):
            merge_adapter(model_args.adapter_name_or_path, args.export_dir)
        return
    if args.export_dir:
        check_output_folder(args.export_dir)
    use_all_cores(args)
    template = None if model_args.template == AUTO else get_template(model_args.template)
    check_optimizer(args)
    check_reporting(args)
    sets = data_sets(data_args.dataset, data_args.dataset_dir)
    read = read_pairs if args.stage == "dpo" else read_conversations
    records = read(sets, data_args.max_samples)
    folder = Path(args.output_dir)
    with held_by_one(args, folder):
        train(model_args, data_args, args, template, sets, records)


def train(
    model_args: ModelArguments, data_args: DataArguments, args: SftArguments, template: ChatTemplate | None,
    sets: list[DataSet], records: list[Conversation] | list[Pair],
) -> None:
    """Train on ``records``, or leave a finished run alone. The output folder is this run's as long as this runs.

    ``template`` None: the tokenizer's own.
    """
    folder = Path(args.output_dir)
    resume_from = checkpoint_to_resume(args.resume_from_checkpoint, folder)
    # before the folder is claimed: a base that is not there leaves nothing behind
    done = is_finished(folder) and not args.overwrite_output_dir
    loaded = None if done and template else load_tokenizer(model_args.model_name_or_path)
    template = template or own_template(loaded[0], model_args.model_name_or_path)
    settings = run_settings(model_args, data_args, args, sets, resume_from, template)
    with args.main_process_first():
        overwrite = args.overwrite_output_dir and args.process_index == 0 and not resume_from
        open_run(folder, settings, overwrite)
    if is_finished(folder):
        print(f"{folder}: already trained like this, nothing to do (--overwrite_output_dir trains anew)")
        return

    tokenizer, config = loaded
    if args.process_index == 0 and model_args.template != AUTO:
        warn_of_another_format(template, tokenizer, model_args.model_name_or_path)
    longest = data_args.cutoff_len
    if args.stage == "dpo":
        longest = data_args.max_prompt_len + data_args.max_target_len
    longest = within_context(longest, config)
    with args.main_process_first():
        examples, report = encode(records, tokenizer, template, longest, data_args)
    if args.process_index == 0:
        print(f"Data: {report}")
    trainer = trainer_class(args.stage)(
        model=load_lora_model(model_args, args, config, longest),
        args=args,
        train_dataset=examples,
        processing_class=tokenizer,
        callbacks=[LossLog(folder)],
    )
    bar = show_progress(trainer)
    try:
        trainer.train(resume_from_checkpoint=start_from(resume_from, folder))
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{str(error).partition('.')[0]}: --per_device_train_batch_size lower and --gradient_accumulation_steps higher "
            "by the same factor trains the same steps in less memory"
        ) from None
    finally:
        bar.close()
    with writing(folder):
        save(trainer, args, report, settings, [data_set.path for data_set in sets])


def start_from(named: Path | None, folder: Path) -> str | None:
    """The checkpoint to go on from: of this folder the one that was named, of another one only at this run's start."""
    if named is not None and named.resolve().parent == folder.resolve():
        return str(named)
    return last_checkpoint(folder) or (str(named) if named else None)


@contextmanager
def held_by_one(args: SftArguments, folder: Path) -> Iterator[None]:
    """``folder`` locked by the first of this run's processes. Raises InputError in all where another run holds it."""
    fault, lock = [None], None
    if args.process_index == 0:
        try:
            check_output_folder(folder)
            lock = Lock(folder, "wait until it has ended, or choose another --output_dir")
        except (InputError, OSError) as error:
            fault = [sentence(error)]
    if args.world_size > 1:
        torch.distributed.broadcast_object_list(fault)
    if fault[0]:
        raise InputError(fault[0])
    try:
        yield
    finally:
        if lock:
            lock.release()


def trainer_class(stage: str) -> type[Trainer]:
    if stage == "sft":
        return SftTrainer
    from train.eto_trainer import EtoTrainer  # TRL takes seconds to import

    return EtoTrainer


def encode(
    records: list[Conversation] | list[Pair], tokenizer, template, longest: int, data_args: DataArguments
) -> tuple[list[dict], EncodingReport]:
    """The records as token ids and what is learnt of them; conversations from the cache where it has them."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # nothing forks before training ends
    pairs = isinstance(records[0], Pair)
    if served_otherwise(records[0].chosen if pairs else records[0], tokenizer, template):
        warn(
            f"--template {template.name} tokenises each turn by itself, as LLaMA-Factory does; a server "
            "reads the prompt whole, which is other tokens with this tokenizer (for Mistral take mistral_v02)"
        )
    if pairs:
        target = min(data_args.max_target_len, longest - data_args.max_prompt_len)
        return encode_pairs(records, tokenizer, template, data_args.max_prompt_len, target)
    return encode_conversations(
        records, tokenizer, template, longest, data_args.train_on_prompt, data_args.overwrite_cache
    )


def warn_of_another_format(template: ChatTemplate, tokenizer, base: str) -> None:
    """A recipe that extends another one may have inherited a chat format that is not its model's."""
    if written_otherwise(tokenizer, base, template):
        warn(
            f'--template {template.name} writes another text than the chat template of {base}, which others prompt it with; '
            f"--template {AUTO} takes that one"
        )


def show_progress(trainer: Trainer) -> Progress:
    """Put our bar in the place of transformers' own, where it shows one."""
    bar = Progress(lambda: trainer.tokens_seen)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(bar)
    return bar


def run_settings(
    model_args: ModelArguments, data_args: DataArguments, args: SftArguments, sets: list[DataSet],
    resume_from: Path | None, template: ChatTemplate,
) -> dict:
    """All that decides what a run learns: two runs with the same settings are the same run.

    A checkpoint of the run's own folder does not count: it is on the way there.
    """
    names = (
        "seed learning_rate lr_scheduler_type warmup_ratio warmup_steps weight_decay max_grad_norm optim "
        "num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps world_size "
        "stage pref_beta fp16 bf16"
    ).split()
    settings = {**vars(model_args), **vars(data_args), **weight_settings(args, names)}
    for name in ("dataset", "dataset_dir", "overwrite_cache"):  # the data's content counts, not its name
        del settings[name]
    if isinstance(template, OwnTemplate):  # its text lies in the tokenizer's files
        settings[OWN_SHA256] = template.sha256
    settings["data_sha256"] = [file_digest(data_set.path) for data_set in sets]
    if any(data_set.system for data_set in sets):
        settings["system_columns"] = [data_set.system for data_set in sets]
    if resume_from and resume_from.resolve().parent != Path(args.output_dir).resolve():
        settings["resume_sha256"] = file_digest(resume_from / "optimizer.pt")
    if model_args.adapter_name_or_path:
        weights = Path(model_args.adapter_name_or_path) / "adapter_model.safetensors"
        settings["adapter_sha256"] = file_digest(weights) if weights.is_file() else None
    return settings


def use_all_cores(args: SftArguments) -> None:
    """Undo the one thread that ``accelerate launch`` prescribes where its only process trains on the CPU."""
    launched_alone = "ACCELERATE_USE_CPU" in os.environ  # accelerate sets it for a single process only
    if launched_alone and args.device.type == "cpu" and os.environ.get("OMP_NUM_THREADS") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(cores)


def save(
    trainer: Trainer, args: SftArguments, report: EncodingReport, settings: dict, files: list[Path]
) -> None:
    """Write adapter, tokenizer, state, plot and card, and last the results that mark the run as finished."""
    state = trainer.state
    trainer.save_model()
    trainer.save_state()
    if not trainer.is_world_process_zero():
        return
    folder = Path(args.output_dir)
    if args.plot_loss:
        unit = "cross-entropy per learnt token (nats)" if args.stage == "sft" else "DPO loss per pair (nats)"
        plot_loss(state.log_history, folder.name, unit, folder / "training_loss.png")
    end = next(entry for entry in reversed(state.log_history) if "train_runtime" in entry)
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    metrics = {
        "steps": state.global_step,
        "epoch": state.epoch,
        "train_loss": sum(losses) / len(losses) if losses else end["train_loss"],
        "train_runtime": end["train_runtime"],  # of this process; a resumed run's earlier part is not in it
        "tokens_per_second": trainer.tokens_seen * args.world_size / end["train_runtime"],
        **vars(report),
    }
    write_card(folder, settings, files, metrics, sys.argv)
    if args.export_dir:
        merge_adapter(args.output_dir, args.export_dir)
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics, combined=False)
    print(f"Trained {metrics['steps']} steps, loss {metrics['train_loss']:.4f}: adapter and logs in {folder}")


if __name__ == "__main__":
    main()
