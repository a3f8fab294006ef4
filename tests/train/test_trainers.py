"""Which conversations a step holds: all once an epoch, the same however many processes share them."""

import torch

from train.trainers import StepSampler

LENGTHS = torch.randint(100, 2048, (1001,), generator=torch.Generator().manual_seed(0)).tolist()
NOTHING = len(LENGTHS)


def order(per_pass=4, passes=2, seed=1, epoch=0) -> list[int]:
    return list(StepSampler(LENGTHS, per_pass, passes, seed, epoch=lambda: epoch))


def steps(indices: list[int], size: int) -> list[list[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def test_an_epoch_holds_every_conversation_once_and_fills_its_last_step():
    sampler = StepSampler(LENGTHS, 4, 2, seed=1, epoch=lambda: 0)
    assert (sampler.steps, len(sampler)) == (126, 1008)
    indices = order()
    assert sorted(indices) == [*range(1001), *[NOTHING] * 7]
    assert NOTHING not in indices[:1000]


def test_steps_do_not_depend_on_how_they_are_shared():
    whole = [sorted(step) for step in steps(order(per_pass=8, passes=1), 8)]
    for per_pass, passes in ((4, 2), (2, 4), (1, 8)):
        assert [sorted(step) for step in steps(order(per_pass, passes), 8)] == whole


def test_the_passes_of_a_step_have_about_as_many_tokens():
    tokens = torch.tensor([sum(LENGTHS[i] for i in part) for part in steps(order(4, 4)[:992], 4)]).view(-1, 4)
    assert (tokens.max(1).values / tokens.float().mean(1)).mean() < 1.1  # dealt at random: 1.27


def test_order_depends_on_seed_and_epoch_alone():
    assert order() == order()
    assert order() != order(seed=2)
    assert order() != order(epoch=1)
