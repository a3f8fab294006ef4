"""What a buyer earns in WebShop who buys the first result unseen: a score that no understanding is needed for.

    python -m eval_agent.report.blind --exp_config webshop_demo --split test
"""

from statistics import mean

from eval_agent.command_line import Parser
from eval_agent.config import load_task_config
from eval_agent.errors import InputError, exit_on_input_error
from eval_agent.tasks import load_tasks
from eval_agent.webshop import Shop
from eval_agent.webshop.expert import blind_actions, reward_of


def blind_reward(exp_config: str, split: str) -> tuple[float, int]:
    """Mean reward and number of goals. Raises InputError where the config is not WebShop's."""
    tasks = load_tasks(load_task_config(exp_config, "configs/task"), split)
    if tasks[0].benchmark != "webshop":
        raise InputError(f"{exp_config}: plays {tasks[0].benchmark}, expected a config of WebShop")
    shop = Shop.open(tasks[0].store)
    return mean(reward_of(shop, task.goal, blind_actions(shop, task.goal)) for task in tasks), len(tasks)


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--exp_config", required=True, help="of WebShop")
    parser.add_argument("--split", default="test", help="of its goals")
    args = parser.parse_args()
    reward, count = blind_reward(args.exp_config, args.split)
    print(f"Buying the first result unseen, without options, earns {100 * reward:.1f} on these {count} goals.")


if __name__ == "__main__":
    main()
