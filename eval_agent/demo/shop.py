"""Make the demo shop: some 200 products of the project's own with near twins, 48 train and 24 test goals.

    python -m eval_agent.demo.shop --output_dir data/demo_shop --seed 0

products.json and attributes.json have the form of WebShop's files, goals.json is a goal list, store/ is built from
them. A goal is kept where the rule-written buyer earns 1.0 in few steps as a careful reader could, and buying the
first result earns less. Kinds of products are in both splits, families of twins in one. The same seed gives the same
files, and a shop that is there already is not made again.
"""

from pathlib import Path

from eval_agent.command_line import Parser
from eval_agent.demo.shop_making import GOALS_PER_KIND, make_shop
from eval_agent.errors import exit_on_input_error


@exit_on_input_error
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--output_dir", type=Path, default=Path("data/demo_shop"), help="the shop")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another shop")
    arguments = parser.parse_args()
    about = make_shop(arguments.seed, arguments.output_dir)
    print(f"{arguments.output_dir}: {about['products']} products")
    for split in GOALS_PER_KIND:
        print(f"{split}: {about[split]['goals']} goals; buying the first result blindly earns "
              f"{100 * about[split]['blind_reward']:.1f} on average")


if __name__ == "__main__":
    main()
