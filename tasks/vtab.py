"""VTAB-1K: 19 image tasks in three groups, each with 1,000 pictures to learn from and its official test split.

Paper: Zhai et al.: A Large-scale Study of Representation Learning with the Visual Task Adaptation Benchmark, 2019,
       https://arxiv.org/abs/1910.04867; each card cites the paper of its own data.
Code:  https://github.com/google-research/task_adaptation

Splits:  800 pictures to train on and 200 to validate on, VTAB's own draws. The policy for it is ``final_on_all``:
         choose values on train and validation, train finals on all 1,000, take the last epoch, score the whole test
         split.
Score:   top-1 accuracy; the benchmark's number is the mean of the three groups' means (``AVERAGES``).
Pixels:  whole pictures, resized to the backbone's input size, bilinearly, as VTAB does it; no augmentation.
Sources: the hub has no dataset of VTAB's own, so rows come from a mirror, in one of two forms in ``vtab-1k/<task>``:
         ``train.parquet``, ``validation.parquet`` and ``test.parquet`` with the columns ``image`` and ``label``, or the
         folders that the field passes round: images and the lists ``train800.txt``, ``val200.txt``, ``test.txt`` (the
         names it gives the folders, such as ``cifar`` and ``clevr_dist``, are known; ``train800val200.txt`` holds the
         same 1,000 and is not read).

Classes: names where they are names (in TensorFlow Datasets' order, from which VTAB was made); else the value that is
         to be told: CLEVR counts 3 to 10 objects and cuts distance at 8, 8.5, 9, 9.5 and 10; KITTI cuts it at 8 and
         20 m; SmallNORB's angles are degrees; DMLab's six (close, far or very far; good or bad) are numbers.
Chance:  the share of the most frequent class in the test split where it is known: Caltech101's airplanes 770 of 6,084,
         Flowers' petunia 238 of 6,149, Pets' largest breeds 100 of 3,669, SVHN's digit one 5,099 of 26,032, Camelyon's
         healthy tissue 16,391 of 32,768, Retinopathy's healthy eyes 31,403 of 42,670. Classes are equally frequent in
         CIFAR-100, DTD and (but for the draw) dSprites, RESISC45 and SmallNORB: 1 / classes. For SUN397, EuroSAT,
         CLEVR, DMLab and KITTI no counts of the test split are published: 1 / classes, which the most frequent class
         exceeds.
"""

CARDS_FROM = "tasks._vtab_cards"

AVERAGES = {
    "name": "vtab-1k",
    "title": "VTAB-1K: the mean of the three groups' means",
    "groups": {
        "natural": [
            "vtab/caltech101",
            "vtab/cifar100",
            "vtab/dtd",
            "vtab/oxford_flowers102",
            "vtab/oxford_iiit_pet",
            "vtab/svhn",
            "vtab/sun397",
        ],
        "specialized": ["vtab/patch_camelyon", "vtab/eurosat", "vtab/resisc45", "vtab/diabetic_retinopathy"],
        "structured": [
            "vtab/clevr_count",
            "vtab/clevr_distance",
            "vtab/dmlab",
            "vtab/kitti",
            "vtab/dsprites_location",
            "vtab/dsprites_orientation",
            "vtab/smallnorb_azimuth",
            "vtab/smallnorb_elevation",
        ],
    },
}
