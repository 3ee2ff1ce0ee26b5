"""The plan cloud as a picture: every plan a dot, the front in large, and a key to colours."""

import re
from xml.etree import ElementTree

import numpy as np

from hipp_prune.experiments.paper.drawing import Panel, draw_clouds

CLOUD = Panel(
    title="toy & llava",
    points=np.array([[0.99, 0.95, 0.1], [0.98, 0.96, 0.7], [0.97, 0.94, 0.4]]),
    front=np.array([True, True, False]),
)


def test_every_plan_is_a_dot_and_the_front_is_large():
    picture = ElementTree.fromstring(draw_clouds([CLOUD]))
    dots = picture.findall(".//{*}circle[{*}title]")  # those of the key have no title
    assert sorted(dot.attrib["r"] for dot in dots) == ["3", "6", "6"]
    assert [dot[0].text for dot in dots] == ["sparsity 0.400", "sparsity 0.100", "sparsity 0.700"]


def test_a_key_says_which_sparsity_has_which_colour():
    picture = draw_clouds([CLOUD])
    key = picture[picture.index(">sparsity<") :]
    assert re.findall(r">(\d+%)<", key) == ["10%", "40%", "70%"]
    smallest, largest = re.findall(r'fill="(rgb\([^"]+\))"', key)[::2]
    assert picture.count(smallest) == picture.count(largest) == 2  # the key and the plan that has it
