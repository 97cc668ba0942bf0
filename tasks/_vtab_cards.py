"""The cards of VTAB-1K, made from one row of facts for each of its 19 tasks; see ``tasks/vtab.py`` for the family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import JsonValue

from tasks import _vtab_classes as classes

BY_HAND = (
    "put vtab-1k/<task>/{train,validation,test}.parquet, or the community's folders of images with train800.txt, "
    "val200.txt and test.txt, into a mirror"
)


class Facts(NamedTuple):
    """What tells one task from the others."""

    name: str
    title: str
    paper: str
    url: str
    year: int
    licence: str
    labels: Sequence[str]
    test: int
    """Rows of the official test split."""
    largest: tuple[int, int] | None = None
    """Test rows of the most frequent class, of how many; null where they are not known, or equal for all classes:
    chance is then 1 / classes."""
    folder: str | None = None
    """What the community's copy calls its folder, where that is another name."""


TASKS = (
    Facts(
        "caltech101",
        "Caltech101: pictures of objects, 101 categories and one of background",
        "Fei-Fei, Fergus, Perona: Learning Generative Visual Models from Few Training Examples, 2004",
        "https://data.caltech.edu/records/mzrjq-6wc02",
        2004,
        "CC BY 4.0",
        classes.CALTECH101,
        6084,
        largest=(770, 6084),  # airplanes: 800, less the 30 of each class that train has
    ),
    Facts(
        "cifar100",
        "CIFAR-100: tiny pictures of 100 kinds of things",
        "Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        2009,
        "not stated",
        classes.CIFAR100,
        10000,
        folder="cifar",
    ),
    Facts(
        "dtd",
        "DTD, the Describable Textures Dataset: 47 textures",
        "Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi: Describing Textures in the Wild, 2014",
        "https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        2014,
        "for research",
        classes.DTD,
        1880,
    ),
    Facts(
        "oxford_flowers102",
        "Oxford Flowers: 102 flowers common in the United Kingdom",
        "Nilsback, Zisserman: Automated Flower Classification over a Large Number of Classes, 2008",
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        2008,
        "not stated",
        classes.FLOWERS102,
        6149,
        largest=(238, 6149),  # petunia: 258, less 10 in train and 10 in validation
    ),
    Facts(
        "oxford_iiit_pet",
        "Oxford-IIIT Pet: 37 breeds of cats and dogs",
        "Parkhi, Vedaldi, Zisserman, Jawahar: Cats and Dogs, 2012",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        2012,
        "CC BY-SA 4.0",
        classes.PETS,
        3669,
        largest=(100, 3669),
    ),
    Facts(
        "svhn",
        "SVHN, Street View House Numbers: which digit is in the middle?",
        "Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images, 2011",
        "https://research.google/pubs/pub37648",
        2011,
        "for non-commercial use",
        tuple("0123456789"),
        26032,
        largest=(5099, 26032),
    ),
    Facts(
        "sun397",
        "SUN397: 397 kinds of scenes, from abbey to youth hostel",
        "Xiao, Hays, Ehinger, Oliva, Torralba: SUN Database: Large-scale Scene Recognition from Abbey to Zoo, 2010",
        "https://vision.princeton.edu/projects/2010/SUN/",
        2010,
        "that of each picture; for research",
        classes.SUN397,
        21750,
    ),
    Facts(
        "patch_camelyon",
        "PatchCamelyon: is there tumour tissue in the middle of a patch of a lymph node?",
        "Veeling, Linmans, Winkens, Cohen, Welling: Rotation Equivariant CNNs for Digital Pathology, 2018",
        "https://arxiv.org/abs/1806.03962",
        2018,
        "CC0",
        ("no tumour", "tumour"),
        32768,
        largest=(16391, 32768),
    ),
    Facts(
        "eurosat",
        "EuroSAT: ten kinds of land use, from a satellite",
        "Helber, Bischke, Dengel, Borth: EuroSAT: A Novel Dataset and Deep Learning Benchmark, 2019",
        "https://arxiv.org/abs/1709.00029",
        2019,
        "MIT",
        classes.EUROSAT,
        5400,
    ),
    Facts(
        "resisc45",
        "RESISC45: 45 kinds of scenes, from the air",
        "Cheng, Han, Lu: Remote Sensing Image Scene Classification: Benchmark and State of the Art, 2017",
        "https://arxiv.org/abs/1703.00121",
        2017,
        "not stated",
        classes.RESISC45,
        6300,
    ),
    Facts(
        "diabetic_retinopathy",
        "Diabetic Retinopathy: how ill is the eye behind a photograph of its retina, from 0 to 4?",
        "Kaggle and EyePACS: Diabetic Retinopathy Detection, 2015",
        "https://www.kaggle.com/c/diabetic-retinopathy-detection",
        2015,
        "the rules of the Kaggle competition",
        ("none", "mild", "moderate", "severe", "proliferative"),
        42670,
        largest=(31403, 42670),
    ),
    Facts(
        "clevr_count",
        "CLEVR, counting: how many objects are in a rendered scene?",
        "Johnson et al.: CLEVR: A Diagnostic Dataset for Compositional Language and Elementary Visual Reasoning, 2017",
        "https://arxiv.org/abs/1612.06890",
        2017,
        "CC BY 4.0",
        tuple(str(count) for count in range(3, 11)),
        15000,
    ),
    Facts(
        "clevr_distance",
        "CLEVR, distance: how far is the closest object of a rendered scene?",
        "Johnson et al.: CLEVR: A Diagnostic Dataset for Compositional Language and Elementary Visual Reasoning, 2017",
        "https://arxiv.org/abs/1612.06890",
        2017,
        "CC BY 4.0",
        ("to 8", "8 to 8.5", "8.5 to 9", "9 to 9.5", "9.5 to 10", "over 10"),
        15000,
        folder="clevr_dist",
    ),
    Facts(
        "dmlab",
        "DMLab: how far is what, and is it good or bad? Frames of a 3D maze, 6 classes",
        "Zhai et al.: A Large-scale Study of Representation Learning with VTAB, 2019, on DeepMind Lab (Beattie et al.)",
        "https://arxiv.org/abs/1910.04867",
        2019,
        "not stated",
        tuple(str(number) for number in range(6)),
        22735,
    ),
    Facts(
        "kitti",
        "KITTI, distance: how far is the next car, van or truck on a street?",
        "Geiger, Lenz, Stiller, Urtasun: Vision meets Robotics: The KITTI Dataset, 2013",
        "https://www.cvlibs.net/datasets/kitti/",
        2013,
        "CC BY-NC-SA 3.0",
        ("to 8 m", "8 to 20 m", "over 20 m", "none"),
        711,
    ),
    Facts(
        "dsprites_location",
        "dSprites, location: in which of 16 columns is the shape?",
        "Matthey, Higgins, Hassabis, Lerchner: dSprites: Disentanglement testing Sprites dataset, 2017",
        "https://github.com/google-deepmind/dsprites-dataset",
        2017,
        "zlib/libpng",
        tuple(str(number) for number in range(16)),
        73728,
        folder="dsprites_loc",
    ),
    Facts(
        "dsprites_orientation",
        "dSprites, orientation: by which of 16 angles is the shape turned?",
        "Matthey, Higgins, Hassabis, Lerchner: dSprites: Disentanglement testing Sprites dataset, 2017",
        "https://github.com/google-deepmind/dsprites-dataset",
        2017,
        "zlib/libpng",
        tuple(str(number) for number in range(16)),
        73728,
        folder="dsprites_ori",
    ),
    Facts(
        "smallnorb_azimuth",
        "SmallNORB, azimuth: from which side is a toy seen? 18 angles",
        "LeCun, Huang, Bottou: Learning Methods for Generic Object Recognition with Invariance to Pose, 2004",
        "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
        2004,
        "for research",
        tuple(str(angle) for angle in range(0, 360, 20)),
        12150,
        folder="smallnorb_azi",
    ),
    Facts(
        "smallnorb_elevation",
        "SmallNORB, elevation: from how high is a toy seen? 9 angles",
        "LeCun, Huang, Bottou: Learning Methods for Generic Object Recognition with Invariance to Pose, 2004",
        "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
        2004,
        "for research",
        tuple(str(angle) for angle in range(30, 75, 5)),
        12150,
        folder="smallnorb_ele",
    ),
)


def cards() -> list[dict[str, JsonValue]]:
    """Return the card of every task, groups one after the other."""
    return [_card(facts) for facts in TASKS]


def _card(facts: Facts) -> dict[str, JsonValue]:
    of_largest, of_all = facts.largest or (1, len(facts.labels))
    folders: list[JsonValue] = [facts.name, *([facts.folder] if facts.folder else [])]
    return {
        "name": f"vtab/{facts.name}",
        "title": facts.title,
        "paper": facts.paper,
        "url": facts.url,
        "year": facts.year,
        "licence": facts.licence,
        "version": 1,
        "source": {
            "hub": "vtab-1k",
            "config": facts.name,
            "splits": {"train": "train", "validation": "validation", "evaluation": "test"},
            "lists": {
                "folders": folders,
                "splits": {"train": "train800.txt", "validation": "val200.txt", "evaluation": "test.txt"},
            },
            "by_hand": BY_HAND,
        },
        "columns": {"image": "image", "label": "label"},
        "labels": list(facts.labels),
        "sizes": {"train": 800, "validation": 200, "evaluation": facts.test},
        "metric": {
            "name": "accuracy",
            "higher_is_better": True,
            "unit": "%",
            "chance": round(of_largest / of_all, 4),
            "ceiling": 1.0,
        },
        "protocols": ["image"],
    }
