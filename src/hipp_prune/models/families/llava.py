"""LLaVA-1.5: CLIP tower, two-layer projector, Llama or Mistral or Qwen2 backbone; a fixed number of image tokens."""

from hipp_prune.models.adapter import Adapter
from hipp_prune.models.family import Family

VICUNA_V1 = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
    "{% for message in messages %}{{ ' ' + message['role'].upper() + ':' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ ' <image>' }}{% endfor %}"
    "{% set image = message['content'] | selectattr('type', 'equalto', 'image') | list | length %}"
    "{% for part in message['content'] if part['type'] == 'text' %}"
    "{{ ('\n' if image else ' ') + part['text'] }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)
"""The conversation LLaVA-1.5 was trained and officially evaluated with."""


class LlavaAdapter(Adapter):
    """``<image>`` in the prompt becomes one token per patch; there are no start/end markers."""

    _default_template = VICUNA_V1
    _images_per_call = 8
    _packs = True


FAMILY = Family(
    name="LLaVA-1.5",
    model_type="llava",
    adapter=LlavaAdapter,
    tested="toy model end to end; contract tests; inputs equal the stock processor's",
)
