"""The recipe of the embedded models: read scenes as words, grow, read on, learn to see, then look at pictures.

1. *read*: a shallow language model alone answers questions about scenes whose patches are the names of things; each
   task trains its own share of the MLP neurons.
2. *grow*: its neurons are dealt out to four times as many blocks, a share to each, and it reads on.
3. *see*: vision tower and projector learn to show each patch as its name's word embedding; then they are frozen.
4. *look*: the language model goes on with the pictures' features, its learning rate falling to zero.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen2_5_VLForConditionalGeneration

from hipp_prune.experiments.narrator import Narrator
from hipp_prune.experiments.toy import checkpoint, examination, families, pictures, tokenizer
from hipp_prune.experiments.toy.curriculum import TASKS, Gallery, Task, Teacher, gallery
from hipp_prune.experiments.toy.families import TOY_FAMILIES, FamilyName, ToyFamily
from hipp_prune.experiments.toy.growth import confine_gradients, deal_out, neuron_shares
from hipp_prune.experiments.toy.learning import LanguageOptimiser, task_accuracies
from hipp_prune.experiments.toy.packing import PackedRow, Packer
from hipp_prune.files.progress import Say
from hipp_prune.questions import toyworld
from hipp_prune.questions.toyworld.scenes import Scene, rng_for, scenes
from hipp_prune.stages.loading import cache_folder

READ_TARGETS: Mapping[Task, float] = {"polls": 0.98, "words": 0.93, "people": 0.95, "pictures": 0.95}
"""Held-out accuracies that end the *read* stage."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes and rates of the stages; the defaults made the shipped checkpoints."""

    blocks: int = families.BLOCKS
    """Language blocks of the finished model."""
    growth: int = 4
    """Blocks of the finished model that each block of the first *read* becomes."""
    named_scenes: int = 20_000
    """Scenes of the *read* stage, which need no drawing."""
    drawn_scenes: int = 3_000
    """Pictures of the *see* and *look* stages."""
    held_out_scenes: int = 150
    """Pictures of the validation split that the logged accuracies are measured on."""
    held_out_rows: int = 40
    """Packed sequences of each task that the logged accuracies are measured on."""
    rows: int = 24
    """Packed sequences a step, of about 170 tokens each."""
    read_steps: int = 1600
    """Most steps of the shallow model's *read*; it ends early at ``READ_TARGETS``."""
    reread_steps: int = 400
    """Most steps of reading on once the model has grown."""
    read_rate: float = 2e-3
    see_steps: int = 900
    see_rate: float = 2e-3
    see_pictures: int = 48
    """Pictures in each step of *see*."""
    look_steps: int = 250
    look_rate: float = 8e-4
    warmup_steps: int = 30
    check_every: int = 50
    """Steps between two lines of the log."""
    final_exam: bool = True
    """False ends with training; by default the world is drawn then and its test split asked, which takes a minute."""
    threads: int = 1
    """Torch threads; one each lets both families train at once on two cores."""


def train(
    family: FamilyName,
    out: Path,
    *,
    seed: int = 0,
    log: Path | None = None,
    progress: Say | None = None,
    recipe: Recipe | None = None,
) -> None:
    """Trains an embedded model from nothing and writes its checkpoint to ``out``.

    Args:
        family: which of the two.
        out: folder of the checkpoint, made if need be.
        seed: of the weights, the scenes and the questions.
        log: file that receives every line of progress; ``out/train.log`` by default.
        progress: receives every line of progress.
        recipe: other sizes and rates than the shipped checkpoints', e.g. for a test.
    """
    recipe = recipe or Recipe()
    log = log or out / "train.log"
    log.unlink(missing_ok=True)
    say = Narrator(log, progress)
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)
    try:
        say(f"hipp-prune toy train --model {family} --out {out} --seed {seed}")
        say(
            f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
        )
        school = School(TOY_FAMILIES[family], recipe, seed, say)
        school.read(recipe.read_steps)
        school.grow()
        school.read(recipe.reread_steps)
        school.see()
        school.look()
        checkpoint.save(school.model, school.family, school.tokenizer, out)
        say(f"written to {out}")
        if recipe.final_exam:
            school.sit_test()
    finally:
        torch.set_num_threads(threads)


class School:
    """A model under training, what it is taught, and the stages.

    Args:
        family: whose architecture it is.
        recipe: sizes, and the steps and rates of every stage.
        seed: of the weights and of all that is drawn.
        say: told a line about every stage.
    """

    def __init__(self, family: ToyFamily, recipe: Recipe, seed: int, say: Say) -> None:
        torch.manual_seed(seed)
        self.family, self.recipe, self._seed, self._say = family, recipe, seed, say
        self.tokenizer = tokenizer.build(family)
        self._ids: dict[str, int] = self.tokenizer.get_vocab()
        self.model = fresh_model(
            family, self._ids, recipe.blocks // recipe.growth, family.neurons * recipe.growth
        )
        self._packer = Packer(family, self.tokenizer)
        self._teacher = Teacher(self._packer, "train", seed)
        self._examiner = Teacher(self._packer, "validation", seed)
        self._draw_task = rng_for(seed, "tasks")
        parameters = sum(weight.numel() for weight in self.model.parameters())
        blocks = recipe.blocks // recipe.growth
        say(f"seed {seed}, {parameters:,} parameters, {blocks} language blocks, {len(self._ids)} tokens")

    def read(self, most_steps: int) -> None:
        """Teaches the language model on scenes given as words, until ``READ_TARGETS`` or for ``most_steps``."""
        recipe = self.recipe
        taught = gallery(self._scenes("train", recipe.named_scenes), rendered=False)
        exam = self._exam(gallery(self._scenes("validation", recipe.held_out_scenes), rendered=False))
        learner = LanguageOptimiser(self.model, self._language(), recipe.read_rate)
        for step in range(1, most_steps + 1):
            loss = self._teach(learner, taught, None, min(1.0, step / recipe.warmup_steps))
            if step % recipe.check_every == 0:
                reached = task_accuracies(self.model, self._packer, exam, None)
                self._report("read", step, loss, reached)
                if all(reached[task] >= READ_TARGETS[task] for task in TASKS):
                    break

    def see(self) -> None:
        """Teaches the vision tower and the projector to show each patch as its name's word embedding."""
        recipe = self.recipe
        taught = pictures.prepare(self.family, self._scenes("train", recipe.drawn_scenes), self._ids)
        unseen = pictures.prepare(self.family, self._scenes("validation", recipe.held_out_scenes), self._ids)
        embeddings = self.model.get_input_embeddings().weight.detach()
        learner = LanguageOptimiser(self.model, pictures.vision_parameters(self.model), recipe.see_rate)
        order = torch.Generator().manual_seed(self._seed)
        for step in range(1, recipe.see_steps + 1):
            chosen = torch.randint(recipe.drawn_scenes, (recipe.see_pictures,), generator=order)
            some = taught.part(chosen)
            loss = pictures.distance(pictures.features(self.model, some), embeddings[some.words])
            learner.descend(loss, _rise_and_fall(step, recipe.warmup_steps, recipe.see_steps))
            if step % (2 * recipe.check_every) == 0:
                with torch.no_grad():
                    right = pictures.named_right(
                        pictures.features(self.model, unseen), unseen.words, embeddings
                    )
                self._say(f"see  {step:4d}  loss {loss.item():.4f}  patches named right {right:.4f}")

    def look(self) -> None:
        """Teaches the language model on the features of drawn scenes."""
        recipe = self.recipe
        taught_scenes = self._scenes("train", recipe.drawn_scenes)
        unseen_scenes = self._scenes("validation", recipe.held_out_scenes)
        taught, unseen = (self._features(some) for some in (taught_scenes, unseen_scenes))
        rows = gallery(taught_scenes, rendered=True)
        exam = self._exam(gallery(unseen_scenes, rendered=True))
        learner = LanguageOptimiser(self.model, self._language(), recipe.look_rate)
        for step in range(1, recipe.look_steps + 1):
            loss = self._teach(
                learner, rows, taught, _rise_and_fall(step, recipe.warmup_steps, recipe.look_steps)
            )
            if step % recipe.check_every == 0:
                self._report("look", step, loss, task_accuracies(self.model, self._packer, exam, unseen))

    def sit_test(self) -> None:
        """Logs the accuracy on the test split, every question asked on its own through the stock forward pass."""
        with cache_folder(None) as folder:
            questions = toyworld.load(toyworld.write(folder / "toyworld", seed=self._seed), "test")
            chosen = examination.answers(self.model.eval(), self.family, self.tokenizer, questions)
        for name, accuracy in examination.grades(questions, chosen).items():
            self._say(f"test  {name}  {accuracy:.4f}")

    def grow(self) -> None:
        """Deals the neurons of the shallow model out to the blocks of the deep one."""
        shallow, self.model = (
            self.model,
            fresh_model(self.family, self._ids, self.recipe.blocks, self.family.neurons),
        )
        deal_out(shallow, self.model)
        parameters = sum(weight.numel() for weight in self.model.parameters())
        self._say(f"grown to {self.recipe.blocks} language blocks, {parameters:,} parameters")

    def _language(self) -> list[torch.nn.Parameter]:
        return [weight for name, weight in self.model.named_parameters() if pictures.is_language(name)]

    def _scenes(self, split: str, count: int) -> list[Scene]:
        return list(islice(scenes(self._seed, split), count))

    def _features(self, some: Sequence[Scene]) -> Tensor:
        with torch.no_grad():
            parts = [
                pictures.features(self.model, pictures.prepare(self.family, some[at : at + 100], self._ids))
                for at in range(0, len(some), 100)
            ]
        return torch.cat(parts)

    def _teach(
        self, learner: LanguageOptimiser, taught: Gallery, features: Tensor | None, factor: float
    ) -> float:
        """One step on rows of one task, whose gradient stays within the task's share of the neurons."""
        (task,) = self._draw_task.choices(list(TASKS), list(TASKS.values()))
        batch = self._packer.collate([self._teacher.row(task, taught) for _ in range(self.recipe.rows)])
        share = list(TASKS).index(task) % self.recipe.growth
        return learner.step(
            batch, features, factor, confine=lambda: confine_gradients(self.model, self._shares(), share)
        )

    def _shares(self) -> list[Tensor]:
        blocks = self.model.model.language_model.layers
        neurons = blocks[0].mlp.down_proj.weight.shape[1]
        dealt = len(blocks) == self.recipe.blocks
        return neuron_shares(len(blocks), neurons, self.recipe.growth, dealt=dealt)

    def _exam(self, unseen: Gallery) -> dict[Task, list[PackedRow]]:
        return {
            task: [self._examiner.row(task, unseen) for _ in range(self.recipe.held_out_rows)]
            for task in TASKS
        }

    def _report(self, stage: str, step: int, loss: float, reached: Mapping[Task, float]) -> None:
        scores = "  ".join(f"{task} {reached[task]:.3f}" for task in TASKS)
        self._say(f"{stage} {step:4d}  loss {loss:.3f}  {scores}")


def fresh_model(family: ToyFamily, ids: dict[str, int], blocks: int, neurons: int) -> Any:
    """A stock model of ``family`` with random weights.

    Args:
        family: whose architecture it is.
        ids: the vocabulary, ids by token.
        blocks: language blocks, ≥ 1.
        neurons: of each block's MLP, ≥ 1.
    """
    settings = families.config(family, ids, blocks, neurons)
    if isinstance(settings, LlavaConfig):
        return LlavaForConditionalGeneration(settings)
    return Qwen2_5_VLForConditionalGeneration(settings)


def _rise_and_fall(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate: linear from 0 to 1 over ``warmup`` steps, then linear to 0 at the end."""
    return min(step / warmup, (steps - step + 1) / max(1, steps - warmup), 1.0)
