"""What a stage may not cost."""

import shutil
import subprocess
import sys
from pathlib import Path

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import CalibrateSettings


def test_a_query_imports_neither_transformers_nor_what_draws_pages(tmp_path: Path) -> None:
    run = calibrate("toy-llava", ["toyworld"], tmp_path / "run", CalibrateSettings(count=8))
    search(run.root, SearchSettings(method="random", evaluations=2, minibatch=4))
    shutil.rmtree(run.cache)
    code = (
        "import sys\nfrom hipp_prune.cli import main\n"
        f"assert main(['query', {str(run.root)!r}, '--preference', '1,1,1']) == 0\n"
        "heavy = {'transformers', 'peft', 'pandas', 'pyarrow', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(list(RunDirectory(run.root).plans.iterdir())) == 1
