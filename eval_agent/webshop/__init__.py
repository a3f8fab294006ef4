"""WebShop without a JVM: product catalogue, store on disk, search equal to Lucene's, pages, goals and reward.

The texts, numbers and orders are those of the published environment (princeton-nlp/WebShop), down to the last bit of
the reward; prices and caps that it draws anew in each process are fixed here.
"""

from eval_agent.webshop.catalogue import Product
from eval_agent.webshop.goals import Goal
from eval_agent.webshop.pages import Session, Turn
from eval_agent.webshop.reward import RewardParts
from eval_agent.webshop.store import Shop, build_store

__all__ = ["Goal", "Product", "RewardParts", "Session", "Shop", "Turn", "build_store"]
