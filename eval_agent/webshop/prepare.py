"""Builds the store of a WebShop config in advance and counts its goals; every run does so where it is missing.

    python -m eval_agent.webshop.prepare --exp_config webshop
"""


from eval_agent.command_line import Parser
from eval_agent.config import load_task_config
from eval_agent.errors import exit_on_input_error
from eval_agent.tasks import load_tasks


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--exp_config", default="webshop", help="of WebShop")
    args = parser.parse_args()
    config = load_task_config(args.exp_config, "configs/task")
    for split in config.task.splits:
        tasks = load_tasks(config, split)
        products = len({task.goal.asin for task in tasks})
        print(f"{split}: {len(tasks)} goals for {products} products, built in {tasks[0].store}")


if __name__ == "__main__":
    main()
