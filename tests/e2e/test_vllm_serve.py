"""``vllm serve`` with a pruned checkpoint, asked over HTTP as its users ask it; see ``test_vllm`` for the numbers."""

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hipp_prune.models import TOYS, load_model
from tests.e2e.test_vllm import PYTHON, questions_with_pictures, score, write_pruned
from tests.e2e.vllm_answers import PLUGINS, environment
from tests.tolerance import assert_greedy

pytestmark = pytest.mark.skipif(not PYTHON, reason="vLLM is not installed; run `make test-vllm`")

COUNT = 10
"""Questions asked, half of each benchmark."""
PATIENCE = 240
"""Seconds until the server must be up."""
AS_IT_IS = "{{ messages[0]['content'] }}"
"""A chat template that leaves a rendered prompt alone."""


@contextmanager
def serving(checkpoint: Path, impl: str, folder: Path) -> Iterator[str]:
    """The address of ``vllm serve`` with this checkpoint, on one thread and in float32; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "as_it_is.jinja").write_text(AS_IT_IS, encoding="utf-8")
    code = () if impl == "vllm" else ("--model-impl", "transformers", "--trust-remote-code")
    command = [
        str(Path(PYTHON).parent / "vllm"), "serve", str(checkpoint), *code,
        "--port", str(port), "--served-model-name", "smaller", "--dtype", "float32", "--enforce-eager",
        "--max-model-len", "128", "--max-num-seqs", "4", "--chat-template", str(folder / "as_it_is.jinja"),
        "--chat-template-content-format", "string",
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            command, env=environment(impl, folder), stdout=output, stderr=output, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        assert _is_up(address, server), log.read_text(encoding="utf-8")[-6000:]
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _is_up(address: str, server: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    return False


def ask(address: str, text: str, picture: Path) -> dict[str, Any]:
    """A chat completion of one greedy token."""
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    content = [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]
    body = {
        "model": "smaller",
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": True,
        "return_tokens_as_token_ids": True,
        "return_token_ids": True,
        "add_special_tokens": True,
    }
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


@pytest.mark.parametrize("impl", PLUGINS)
@pytest.mark.parametrize("model", TOYS)
def test_a_served_checkpoint_answers_as_transformers_does(model: str, impl: str, tmp_path: Path) -> None:
    checkpoint = write_pruned(model, tmp_path)
    pruned = load_model(checkpoint)
    asked = questions_with_pictures(tmp_path / "world")
    asked = [*asked[: COUNT // 2], *asked[-COUNT // 2 :]]
    said = set()
    with serving(checkpoint, impl, tmp_path) as address:
        for question in asked:
            assert question.images
            text = pruned.processor.render(question.prompt, images=1)
            answer = ask(address, text, question.images[0])
            (token,) = answer["choices"][0]["logprobs"]["content"]
            number = int(token["token"].removeprefix("token_id:"))
            ids, logprobs = score(pruned, question, torch.tensor([number, 0]).numpy())
            assert answer["prompt_token_ids"] == ids
            assert_greedy([number], logprobs[:1])
            assert token["logprob"] == pytest.approx(float(logprobs[0, number]), abs=1e-4)
            said.add(number)
    assert len(said) > 1
