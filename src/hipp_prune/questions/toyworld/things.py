"""What exists in the embedded world: thirty everyday things, six places, and the facts about them."""

from dataclasses import dataclass

PLACES = ("kitchen", "street", "garden", "beach", "office", "farm")
"""Where scenes play; a place is also what a patch without a thing shows."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A drawable thing and what a question may ask about it; every attribute is one lower-case word."""

    name: str
    plural: str
    color: str
    """Dominant colour of the drawing, and the fact that text-only questions ask for."""
    kind: str
    place: str
    """The place it is usually found in; scenes of that place show it most often."""
    material: str
    action: str
    """What people do with it, as in "you can … it"."""

    @property
    def phrase(self) -> str:
        """The name with its article, ``a lemon`` or ``an egg``."""
        return f"{article(self.name)} {self.name}"


def article(word: str) -> str:
    """``an`` before a vowel letter that is also a vowel sound in this world's words, else ``a``."""
    return "an" if word[0] in "aeio" or word == "umbrella" else "a"


_COLUMNS = ("name", "plural", "color", "kind", "place", "material", "action")
_TABLE = """
cup       cups        blue    dish      kitchen clay    fill
kettle    kettles     gray    dish      kitchen metal   boil
lemon     lemons      yellow  fruit     kitchen pulp    squeeze
banana    bananas     yellow  fruit     kitchen pulp    peel
bread     breads      brown   food      kitchen flour   bake
car       cars        red     vehicle   street  metal   drive
bus       buses       orange  vehicle   street  metal   board
bicycle   bicycles    blue    vehicle   street  metal   pedal
sign      signs       red     signal    street  metal   obey
lamp      lamps       black   signal    street  metal   light
flower    flowers     pink    plant     garden  petals  pick
tree      trees       green   plant     garden  wood    climb
snail     snails      brown   animal    garden  flesh   watch
butterfly butterflies purple  animal    garden  flesh   chase
carrot    carrots     orange  vegetable garden  pulp    grate
umbrella  umbrellas   purple  shelter   beach   cloth   open
ball      balls       pink    toy       beach   rubber  kick
crab      crabs       red     animal    beach   flesh   catch
boat      boats       brown   vehicle   beach   wood    sail
fish      fish        blue    animal    beach   flesh   fry
book      books       green   tool      office  paper   read
clock     clocks      white   tool      office  plastic wind
pencil    pencils     yellow  tool      office  wood    sharpen
laptop    laptops     gray    tool      office  plastic charge
key       keys        black   tool      office  metal   turn
sheep     sheep       white   animal    farm    flesh   shear
duck      ducks       yellow  animal    farm    flesh   feed
tractor   tractors    green   vehicle   farm    metal   steer
pumpkin   pumpkins    orange  vegetable farm    pulp    carve
egg       eggs        white   food      farm    shell   crack
"""

THINGS = tuple(
    Thing(**dict(zip(_COLUMNS, line.split(), strict=True))) for line in _TABLE.strip().splitlines()
)
"""All things, five to a place."""

THING_BY_NAME = {thing.name: thing for thing in THINGS}
"""Look-up by name."""
