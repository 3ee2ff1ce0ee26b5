"""The verb that lists what can be pruned."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the embedded models and the families that are supported."""

    def run(self) -> None:
        """Prints two tables."""
        from hipp_prune.models import SUPPORTED, TOYS
        from hipp_prune.report.terminal import console, print_table

        embedded = [("name", "what")]
        embedded += [(name, "trained by `hipp-prune toy train`, ships with the package") for name in TOYS]
        print_table("embedded", embedded)
        families = [("family", "model_type", "tested")]
        families += [(family.name, family.model_type, family.tested) for family in SUPPORTED.values()]
        print_table("supported, by path or hub name", families)
        console.print(
            "Any other image-text-to-text model of transformers loads if its language blocks have gate/up/down MLPs "
            "and its forward takes encoded images; loading says what is missing.",
            highlight=False,
        )
