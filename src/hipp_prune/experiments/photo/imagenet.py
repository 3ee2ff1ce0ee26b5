"""Which of ImageNet's 1,000 classes are kinds of an object, under the names that COCO gives objects.

Objects without a class, such as forks and giraffes, are left to what is known of the photographs.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

CLASSES: Mapping[str, Sequence[int]] = {
    "airplane": (404, 895, 908),
    "apple": (948,),
    "backpack": (414,),
    "banana": (954,),
    "baseball glove": (429, 981),
    "bear": (294, 295, 296, 297),
    "bed": (431, 520, 564, 750),
    "bench": (703,),
    "bicycle": (444, 671),
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "boat": (472, 484, 510, 554, 576, 625, 628, 780, 814, 871, 914),
    "book": (453, 454, 624, 917, 921),
    "bottle": (440, 720, 737, 898, 901, 907),
    "bowl": (659, 809),
    "broccoli": (937,),
    "bus": (654, 779, 874),
    "car": (436, 468, 511, 609, 627, 656, 661, 751, 817),
    "cat": tuple(range(281, 286)),
    "cell phone": (487,),
    "chair": (423, 559, 765, 857),
    "clock": (409, 530, 892),
    "couch": (831,),
    "cow": (345, 346, 347),
    "cup": (441, 504, 647, 967, 968),
    "dining table": (532,),
    "dog": tuple(range(151, 269)),
    "donut": (931,),
    "elephant": (101, 385, 386),
    "hair drier": (589,),
    "handbag": (636, 728, 748),
    "horse": (339,),
    "hot dog": (934,),
    "keyboard": (508,),
    "knife": (499, 623),
    "laptop": (620, 681),
    "microwave": (651,),
    "motorcycle": (665, 670),
    "mouse": (673,),
    "orange": (950,),
    "oven": (766, 827),
    "parking meter": (704,),
    "person": (981, 982, 983),
    "pizza": (963,),
    "potted plant": (738,),
    "refrigerator": (760,),
    "remote": (761,),
    "sandwich": (933, 934),
    "sheep": (348, 349),
    "sink": (896,),
    "skis": (795,),
    "spoon": (910,),
    "sports ball": (429, 430, 574, 722, 768, 805, 852, 890),
    "stop sign": (919,),
    "teddy bear": (850,),
    "tennis racket": (752, 852),
    "tie": (457, 906),
    "toaster": (859,),
    "toilet": (861,),
    "traffic light": (920,),
    "train": (466, 547, 565, 705, 820, 829),
    "truck": (555, 569, 675, 717, 734, 864, 867),
    "tv": (598, 664, 782, 851),
    "umbrella": (879,),
    "vase": (883,),
    "wine glass": (572, 966),
    "zebra": (340,),
}
"""Numbers of classes by objects' names."""


def directions(classifier: Tensor, names: Sequence[str]) -> Tensor:
    """What speaks for each object in a classifier: its kinds' weights, about the mean of all classes.

    Args:
        classifier: weight of the last layer of a network trained on ImageNet, [1000, channels].
        names: of objects.

    Returns:
        [names, channels]; zeros for what is no class of ImageNet.
    """
    own = classifier - classifier.mean(0)
    known = [
        own[list(CLASSES[name])].mean(0) if name in CLASSES else torch.zeros_like(own[0]) for name in names
    ]
    return torch.stack(known)
