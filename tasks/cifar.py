"""CIFAR-10: tiny pictures of ten kinds of things, for training a ResNet-34 from scratch as the FISH paper does.

Paper: Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009,
       https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
Data:  https://huggingface.co/datasets/uoft-cs/cifar10

Splits:  50,000 to train on, 10,000 official test rows. What a run validates on is drawn from train (``held_out``); the
         FISH paper holds nothing out and reports the test accuracy of the last epoch.
Augmentation: a crop of 32 x 32 with 4 reflected pixels around the picture, a mirror, a cutout of 8 x 8, as in that
         paper (https://arxiv.org/abs/2111.09839); options of the card, which a suite may switch off.
Chance:  the classes are equally frequent.
"""

CARDS = [
    {
        "name": "cifar/cifar10",
        "title": "CIFAR-10: tiny pictures of ten kinds of things",
        "paper": "Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
        "url": "https://www.cs.toronto.edu/~kriz/cifar.html",
        "year": 2009,
        "licence": "not stated",
        "version": 1,
        "source": {
            "hub": "uoft-cs/cifar10",
            "config": "plain_text",
            "revision": "0b2714987fa478483af9968de7c934580d0bb9a2",
            "splits": {"train": "train", "evaluation": "test"},
        },
        "columns": {"image": "img", "label": "label"},
        "labels": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        "sizes": {"train": 50000, "evaluation": 10000},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.1, "ceiling": 1.0},
        "protocols": ["image"],
        "options": {"crop": 4, "flip": True, "cutout": 8},
    },
]
