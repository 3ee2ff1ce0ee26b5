"""Idefics3: an image is cut into tiles, each introduced by its row and column, and a small overview."""

from typing import Any

from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.family import NO_VISION_GRAPH, Family


class Idefics3Adapter(Adapter):
    """Serves SmolVLM too, whose inputs are the same."""

    _markers = (
        "<fake_token_around_image>",
        "<global-img>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    )
    _kept_outputs = frozenset({"rows", "cols"})
    _packs = True

    @property
    def _image_options(self) -> dict[str, Any]:
        return {"return_row_col_info": True}

    def _image_tokens(self, features: ImageFeatures) -> list[int]:
        """Tiles in reading order, one text line a row, then the overview; all of one length."""
        rows, columns = int(features.extras["rows"]), int(features.extras["cols"])
        tokenizer = self.processor.tokenizer
        image = str(tokenizer.convert_ids_to_tokens(self._image_token))
        tile = image * (len(features.tokens) // (rows * columns + 1))
        fake = "<fake_token_around_image>"
        lines = [
            "".join(f"{fake}<row_{row + 1}_col_{column + 1}>{tile}" for column in range(columns)) + "\n"
            for row in range(rows)
        ]
        gap = "\n" if lines else ""
        text = f"{''.join(lines)}{gap}{fake}<global-img>{tile}{fake}"
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


FAMILY = Family(
    name="Idefics3",
    model_type="idefics3",
    adapter=Idefics3Adapter,
    tested="contract tests; inputs equal the stock processor's",
    cannot={
        "onnx": NO_VISION_GRAPH,
    },
)
