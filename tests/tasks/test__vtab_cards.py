"""The cards of VTAB-1K are the published facts."""

from __future__ import annotations

import pytest

from harness.task import TaskCard
from tasks._vtab_cards import TASKS, cards

CARDS = {card.name: card for card in map(TaskCard.model_validate, cards())}

# Classes and test rows as in the benchmark's own table (Zhai et al. 2019, table 2; 1,000 training rows everywhere).
PUBLISHED = {
    "caltech101": (102, 6084),
    "cifar100": (100, 10000),
    "dtd": (47, 1880),
    "oxford_flowers102": (102, 6149),
    "oxford_iiit_pet": (37, 3669),
    "sun397": (397, 21750),
    "svhn": (10, 26032),
    "eurosat": (10, 5400),
    "resisc45": (45, 6300),
    "patch_camelyon": (2, 32768),
    "diabetic_retinopathy": (5, 42670),
    "clevr_count": (8, 15000),
    "clevr_distance": (6, 15000),
    "dsprites_location": (16, 73728),
    "dsprites_orientation": (16, 73728),
    "smallnorb_azimuth": (18, 12150),
    "smallnorb_elevation": (9, 12150),
    "dmlab": (6, 22735),
    "kitti": (4, 711),
}


def test_classes_and_test_rows_are_the_published_ones() -> None:
    found = {name.partition("/")[2]: (len(card.labels), card.sizes["evaluation"]) for name, card in CARDS.items()}
    assert found == PUBLISHED


@pytest.mark.parametrize("facts", TASKS, ids=[facts.name for facts in TASKS])
def test_a_card_agrees_with_itself(facts: object) -> None:
    card = CARDS[f"vtab/{facts.name}"]  # type: ignore[attr-defined]
    assert len(set(card.labels)) == len(card.labels)
    assert card.sizes == {"train": 800, "validation": 200, "evaluation": card.sizes["evaluation"]}
    assert 1 / len(card.labels) - 5e-5 <= card.metric.chance < 1
    assert card.source.splits.keys() == card.sizes.keys()
    assert card.source.lists is not None
    assert card.source.lists.splits == {"train": "train800.txt", "validation": "val200.txt", "evaluation": "test.txt"}
    assert card.source.lists.folders[0] == card.source.config


def test_chance_is_the_share_of_the_most_frequent_class_where_it_is_published() -> None:
    svhn = [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]
    retinopathy = [31403, 3042, 6282, 977, 966]
    for name, counts in (("svhn", svhn), ("diabetic_retinopathy", retinopathy)):
        card = CARDS[f"vtab/{name}"]
        assert sum(counts) == card.sizes["evaluation"]
        assert card.metric.chance == round(max(counts) / sum(counts), 4)


def test_the_community_s_names_of_folders_are_known() -> None:
    others = {card.source.lists.folders[1] for card in CARDS.values() if len(card.source.lists.folders) > 1}  # type: ignore[union-attr]
    assert others == {"cifar", "clevr_dist", "dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"}
