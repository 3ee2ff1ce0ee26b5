"""The hub is asked once whether it answers; where it does not, its client is not left to ask again and again."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from huggingface_hub import constants, snapshot_download

from hipp_prune.files.hub import hub_or_its_cache, silence_of_hub


class Handler(BaseHTTPRequestHandler):
    """Answers that there is nothing."""

    def do_HEAD(self) -> None:
        """To any question."""
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody has said that there is no network, and the hub has not been asked yet."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    silence_of_hub.cache_clear()
    yield
    silence_of_hub.cache_clear()


@pytest.mark.usefixtures("online")
def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with hub_or_its_cache():
        assert constants.HF_HUB_OFFLINE
        with pytest.raises(OSError, match="snapshot"):
            snapshot_download("owner/never-fetched")
    assert time.monotonic() - start < 10, "its client asks again for 23 seconds"
    assert not constants.HF_HUB_OFFLINE
    assert "http://127.0.0.1:9" in (silence_of_hub() or "")


@pytest.mark.usefixtures("online")
def test_a_hub_that_answers_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        with hub_or_its_cache():
            assert not constants.HF_HUB_OFFLINE
        assert silence_of_hub() is None
    finally:
        server.shutdown()
        server.server_close()
