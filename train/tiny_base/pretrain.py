"""Pre-train a tiny base model on endless dialogues and save it as a Hugging Face folder.

    python -m train.tiny_base.pretrain --train_games $ALFWORLD_DATA/json_2.1.1/train --output_dir data/tiny-mistral
    python -m train.tiny_base.pretrain --trajectories outputs/sciworld/expert.json \\
        --recipe configs/train/tiny_base_sciworld.json --output_dir data/tiny-mistral-sciworld
    python -m train.tiny_base.pretrain --demo_shops 40 --exp_config webshop_1k \\
        --recipe configs/train/tiny_base_webshop.json --output_dir data/tiny-mistral-webshop

The first is ALFWorld's base, the second ScienceWorld's, on the output of eval_agent.trajectories.collect_expert for train
variations, the third WebShop's. With all three texts it is one base for all of them, with the recipe's "shares" of
text ("alfworld", "sciworld", "webshop"). Knows the recipe (times in minutes on this machine) and nothing of LoRA or
evaluation. Killed and started again, it goes on from its last saved state. A tokenizer that is in the output
folder already is used as it is.
"""

import atexit
import random
import tempfile
import time
from argparse import Namespace
from functools import partial
from itertools import chain
from pathlib import Path
from pickle import UnpicklingError

import torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from eval_agent.command_line import Parser
from eval_agent.config import load_task_config
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.files import Lock, check_output, check_output_folder, read_records
from eval_agent.progress import tqdm
from train.tiny_base.alfworld_corpus import AlfWorldCorpus
from train.tiny_base.alfworld_rooms import RoomVariety, read_rooms
from train.tiny_base.copying import CopyingHeads
from train.tiny_base.corpus import Corpus, JointCorpus, batches
from train.tiny_base.recipe import Recipe, load_recipe
from train.tiny_base.sciworld_corpus import SciWorldCorpus
from train.tiny_base.tokenizer import bare_pieces, train_tokenizer
from train.tiny_base.webshop_corpus import WebShopCorpus
from train.tiny_base.webshop_markets import PublishedMarket, open_markets

_INSTRUCTIONS = Path("eval_agent/prompt/instructions")
_SAVE_SECONDS = 300


def load_alfworld(train_games: Path) -> AlfWorldCorpus:
    """ALFWorld: the corpus over the rooms of ``train_games``. Raises InputError where there are no games."""
    rooms = read_rooms(train_games)
    if not rooms:
        raise InputError(f"{train_games}: no */*/game.tw-pddl here (unpack or download ALFWorld's train games)")
    return AlfWorldCorpus(RoomVariety(rooms), *_instructions("alfworld"))


def load_sciworld(trajectories: Path) -> SciWorldCorpus:
    """ScienceWorld: the corpus over expert trajectories. Raises InputError where the file is none."""
    return SciWorldCorpus(read_records(trajectories), *_instructions("sciworld"))


def load_webshop(count: int, exp_config: str | None) -> WebShopCorpus:
    """WebShop: the corpus over ``count`` demo shops of other seeds, made for this run, and the shop of a task config.

    Raises InputError where that shop has no goals divided into train and test.
    """
    published = PublishedMarket.of_config(load_task_config(exp_config, "configs/task").task) if exp_config else None
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return WebShopCorpus(open_markets(count, Path(folder.name)), *_instructions("webshop"), published)


def load_corpus(args: Namespace, recipe: Recipe) -> Corpus | JointCorpus:
    """The text that the command line names; several in one, by the recipe's "shares".

    Raises InputError where none is named, or the recipe's shares are of other texts.
    """
    if args.exp_config and not args.demo_shops:
        raise InputError("--exp_config names a shop, which goes with --demo_shops only")
    load = {
        "alfworld": args.train_games and partial(load_alfworld, args.train_games),
        "sciworld": args.trajectories and partial(load_sciworld, args.trajectories),
        "webshop": args.demo_shops and partial(load_webshop, args.demo_shops, args.exp_config),
    }
    load = {task: loading for task, loading in load.items() if loading}
    if not load:
        raise InputError("no text: give --train_games, --trajectories or --demo_shops, or several of them")
    shares = recipe.shares or {next(iter(load)): 1.0}
    if shares.keys() != load.keys():
        raise InputError(f'{args.recipe}: "shares" of {", ".join(recipe.shares or ["no texts"])}, '
                         f'but there is text of {", ".join(load)}')
    corpora = [loading() for loading in load.values()]
    return corpora[0] if len(corpora) == 1 else JointCorpus(corpora, [shares[task] for task in load])


def _instructions(task: str) -> list[str]:
    return [(_INSTRUCTIONS / f"{task}_{role}.txt").read_text(encoding="utf-8") for role in ("agent", "world_model")]


def load_tokenizer(corpus: Corpus | JointCorpus, recipe: Recipe, output_dir: Path):
    """The tokenizer of ``output_dir``, learnt from the corpus where there is none."""
    if (output_dir / "tokenizer.json").exists():
        return AutoTokenizer.from_pretrained(output_dir)
    rng = random.Random(recipe.seed)
    sizes = recipe.tokenizer
    dialogues = (corpus.draw(rng) for _ in tqdm(range(sizes.dialogues), desc="tokenizer"))
    texts = chain(("".join(piece for piece, _ in dialogue.pieces) for dialogue in dialogues), corpus.spellings())
    tokenizer = train_tokenizer(texts, sizes.vocab_size, recipe.model.max_position_embeddings, sizes.spaced)
    tokenizer.save_pretrained(output_dir)
    return tokenizer


def build_model(recipe: Recipe, tokenizer) -> MistralForCausalLM:
    """A fresh model of the recipe's size, its vocabulary rounded up to a multiple of 64."""
    torch.manual_seed(recipe.seed)
    config = MistralConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **recipe.model.model_dump(),
    )
    return MistralForCausalLM(config)


class Pretraining:
    """The model with its optimisers: Muon for the matrices, AdamW for embeddings and norms."""

    def __init__(
        self, model: MistralForCausalLM, recipe: Recipe, state_file: Path, copying: CopyingHeads | None = None
    ):
        self.model, self.recipe, self.state_file, self.copying = model, recipe, state_file, copying
        self.device = next(model.parameters()).device
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        rate, decay = recipe.learning_rate, recipe.weight_decay
        self.optimizers = [
            torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", lr=rate, weight_decay=decay),
            torch.optim.AdamW(others, betas=(0.9, 0.95), lr=rate, weight_decay=decay),
        ]
        self.seconds = 0.0  # of training, over all starts
        if state_file.exists():
            self._load()

    def rate(self) -> float:
        """Learning rate factor: linear warm-up, level, then linear to 0 over the last ``decay`` share."""
        done = min(1.0, self.seconds / self.recipe.seconds)
        return min(1.0, done / self.recipe.warmup, (1.0 - done) / self.recipe.decay)

    def run(self, corpus: Corpus | JointCorpus, tokenizer) -> None:
        compiled = torch.compile(self.model)
        end = 0.0
        with tqdm(total=round(self.recipe.seconds), initial=round(self.seconds), unit="s", desc="pretrain") as bar:
            for number, stage in enumerate(self.recipe.stages):
                end += 60.0 * stage.minutes
                corpus.begin_stage(stage)
                # a restart goes on with new text, not with the text it began with
                rng = random.Random(f"{self.recipe.seed} {number} {self.seconds:.0f}")
                data = batches(corpus, tokenizer, stage.lengths, stage.tokens_per_batch, rng)
                while self.seconds < end:
                    self._step(compiled, data, bar)
        self._save()

    def _step(self, compiled, data, bar: tqdm) -> None:
        started = time.monotonic()
        ids, labels = (torch.tensor(part, device=self.device) for part in next(data))
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = compiled(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        factor = self.rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * factor
            optimizer.step()
            optimizer.zero_grad()
        if self.copying:
            self.copying.keep()
        seconds = time.monotonic() - started
        if int((self.seconds + seconds) / _SAVE_SECONDS) > int(self.seconds / _SAVE_SECONDS):
            self._save()
        self.seconds += seconds
        bar.update(round(self.seconds) - bar.n)
        bar.set_postfix(loss=f"{loss.item():.4f}", tokens_per_s=f"{ids.numel() / seconds:.0f}")

    def _save(self) -> None:
        state = {"model": self.model.state_dict(), "seconds": self.seconds,
                 "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}
        beside = self.state_file.with_suffix(".part")
        torch.save(state, beside)
        beside.replace(self.state_file)

    def _load(self) -> None:
        try:
            state = torch.load(self.state_file, map_location=self.device, weights_only=True)
        except (UnpicklingError, RuntimeError, EOFError) as error:
            told = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"{self.state_file}: cannot be read ({told}); move it away to start anew") from None
        self.model.load_state_dict(state["model"])
        if self.copying:
            self.copying.remember()
        self.seconds = state["seconds"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--train_games", type=Path, help="ALFWorld's json_2.1.1/train folder")
    parser.add_argument("--demo_shops", type=int, help="for WebShop: so many demo shops of other seeds")
    parser.add_argument("--exp_config", help="with --demo_shops: the task config of a shop that is in the text, too")
    parser.add_argument("--trajectories", type=Path, help="ScienceWorld's expert trajectories of train variations")
    parser.add_argument("--recipe", default="configs/train/tiny_base.json", help="sizes, training values, stages")
    parser.add_argument("--output_dir", type=Path, required=True, help="the model")
    parser.add_argument("--state_file", type=Path, default="outputs/tiny_base_state.pt", help="to go on from")
    args = parser.parse_args()

    recipe = load_recipe(args.recipe)
    corpus = load_corpus(args, recipe)
    tokenizer = load_tokenizer(corpus, recipe, args.output_dir)
    check_output_folder(args.output_dir)
    check_output(args.state_file)
    lock = Lock(args.state_file, "wait until it has ended, or choose another --state_file")
    model = build_model(recipe, tokenizer).to("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{model.num_parameters():,} parameters, vocabulary {len(tokenizer)}")
    heads = None
    if recipe.copying_heads:
        heads = CopyingHeads(model, bare_pieces(tokenizer), tokenizer.bos_token_id, recipe.copying_heads)
    Pretraining(model, recipe, args.state_file, heads).run(corpus, tokenizer)
    model.to(torch.bfloat16).save_pretrained(args.output_dir)
    lock.release()
    print(f"wrote {args.output_dir}: {model.num_parameters():,} parameters in bfloat16")


if __name__ == "__main__":
    main()
