"""Answers a question about a picture with the ONNX files beside it; needs neither torch nor hipp-prune.

Run: python generate.py picture.png "Is there a dog in the picture?"
Needs: pip install onnxruntime transformers jinja2 pillow

``hipp-prune export --format onnx`` leaves this example in every folder it writes, and checks the folder with it. Read
it as the description of the three graphs: embed the prompt, put the image features where the placeholders are, run the
decoder, and feed it its own answer token by token, with what it keeps of the past.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

Array = NDArray[Any]


class OnnxModel:
    """A vision-language model of three graphs, for one picture and one question at a time."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Opens the three graphs of a folder.

        Args:
            folder: what ``hipp-prune export --format onnx`` wrote.
            threads: that a graph may use; 0 for all cores.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.vision, self.embed, self.decoder = (
            onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("vision_encoder", "embed_tokens", "decoder_model_merged")
        )
        # By hand, since this file is copied beside the graphs and runs without hipp-prune, which wrote what it reads.
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.image_token: int = config.get("image_token_id", config.get("image_token_index"))
        self.merge: int = config["vision_config"].get("spatial_merge_size", 1)
        """Patches on a side of one image token."""
        self.past = [part for part in self.decoder.get_inputs() if part.name.startswith("past_key_values")]
        positions = next(part for part in self.decoder.get_inputs() if part.name == "position_ids")
        self.axes = 3 if len(positions.shape) == 3 else 1
        """Axes of a position: 3 for mRoPE, one elsewhere."""

    def look(self, pixels: dict[str, Array]) -> Array:
        """Image features [tokens, width] from what the image processor made of one picture."""
        wanted = {part.name for part in self.vision.get_inputs()}
        features: Array = self.vision.run(
            None, {name: value for name, value in pixels.items() if name in wanted}
        )[0]
        return features

    def positions(self, ids: Array, grid: Array | None) -> Array:
        """Positions of a prompt's tokens: [1, T], or [3, 1, T] for mRoPE.

        Args:
            ids: token ids [T], the image's already one a feature.
            grid: the picture's patches, [1, 3] (time, height, width), for mRoPE.
        """
        count = np.arange(len(ids))
        if self.axes == 1:
            return count[None]
        places = np.tile(count, (3, 1))
        if grid is not None:
            rows, columns = grid[0, 1:] // self.merge
            inside = np.flatnonzero(ids == self.image_token)
            start, end = inside[0], inside[-1] + 1
            across = np.arange(rows * columns)
            places[:, start:end] = start + np.stack([0 * across, across // columns, across % columns])
            places[:, end:] -= len(inside) - max(rows, columns)
        return places[:, None]

    def nothing(self) -> list[Array]:
        """The cache before the first token."""
        return [np.zeros((1, part.shape[1], 0, part.shape[3]), np.float32) for part in self.past]

    def step(self, embedded: Array, positions: Array, past: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Logits [V] behind the last of T new tokens [1, T, width], and the cache with them in it."""
        seen = np.ones((1, past[0].shape[2] + embedded.shape[1]), np.int64)
        inputs = {
            "inputs_embeds": embedded,
            "attention_mask": seen,
            "position_ids": positions.astype(np.int64),
        }
        inputs |= {part.name: value for part, value in zip(self.past, past, strict=True)}
        logits, *present = self.decoder.run(None, inputs)
        return logits[0, -1], present

    def generate(
        self, ids: Sequence[int], pixels: dict[str, Array] | None, *, stop: Sequence[int], limit: int
    ) -> tuple[list[int], list[Array]]:
        """The most probable next token, again and again.

        Args:
            ids: the prompt's tokens, with one image token where the picture belongs, if there is one.
            pixels: what the image processor made of the picture.
            stop: tokens that end an answer.
            limit: of the answer's length, in tokens.

        Returns:
            The answer's tokens without the one that ended it, and the logits [V] that each step chose from.
        """
        features = None if pixels is None else self.look(pixels)
        prompt = expand(ids, self.image_token, 0 if features is None else len(features))
        embedded: Array = self.embed.run(None, {"input_ids": prompt[None]})[0]
        if features is not None:
            embedded[0, prompt == self.image_token] = features
        positions = self.positions(prompt, None if pixels is None else pixels.get("image_grid_thw"))
        past, answer, scores = self.nothing(), list[int](), list[Array]()
        while len(answer) < limit:
            logits, past = self.step(embedded, positions, past)
            scores.append(logits)
            token = int(logits.argmax())
            if token in stop:
                break
            answer.append(token)
            embedded = self.embed.run(None, {"input_ids": np.array([[token]])})[0]
            positions = positions.max() + np.ones_like(positions[..., -1:])
        return answer, scores


def expand(ids: Sequence[int], image_token: int, count: int) -> Array:
    """Token ids with ``count`` image tokens in place of the one in the prompt."""
    return np.concatenate([np.full(count if token == image_token else 1, token) for token in ids])


def main() -> None:
    """Reads the command line and prints the answer."""
    parser = argparse.ArgumentParser(description="Asks an exported vision-language model about a picture.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("question")
    parser.add_argument("--max-new-tokens", type=int, default=32)
    arguments = parser.parse_args()
    folder = Path(__file__).parent
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    content = [{"type": "image"}, {"type": "text", "text": arguments.question}]
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=template,
        add_generation_prompt=True,
        tokenize=False,
    )
    has_bos = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=not has_bos)["input_ids"]
    processor = AutoImageProcessor.from_pretrained(str(folder), backend="pil")
    pixels = processor([Image.open(arguments.picture).convert("RGB")], return_tensors="np")
    answer, _ = OnnxModel(folder).generate(
        ids, dict(pixels), stop=[tokenizer.eos_token_id], limit=arguments.max_new_tokens
    )
    print(tokenizer.decode(answer).strip())  # noqa: T201


if __name__ == "__main__":
    main()
