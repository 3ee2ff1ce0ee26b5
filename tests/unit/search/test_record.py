"""``search.json``, as it is written now and as older versions wrote it."""

import json

from hipp_prune.search.record import read_record
from hipp_prune.search.settings import SearchSettings


def test_a_search_of_an_older_version_is_read_whose_settings_were_called_config(tmp_path):
    path = tmp_path / "search.json"
    for name in ("settings", "config"):
        path.write_text(json.dumps({name: {"seed": 5}, "complete": False}), encoding="utf-8")
        assert read_record(path).settings == SearchSettings(seed=5)
